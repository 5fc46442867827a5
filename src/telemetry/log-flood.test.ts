import t from 'tap'
import { ConnectionTelemetry } from './connection.ts'
import { createLogger } from './logger.ts'
import { Lines, ManualClock } from './test-support.ts'
import { TrafficMetrics } from './traffic-metrics.ts'

t.test(
  'a flood of refused connections writes 50 lines of each cause in 10 s, and says how many it left out',
  async (t) => {
    const destination = new Lines()
    const clock = new ManualClock()
    const log = createLogger({ format: 'plain', level: 'info', destination, clock }).scope('access')
    const telemetry = new ConnectionTelemetry({ log, metrics: new TrafficMetrics({ clock }), clock })
    const reject = (port: number, error: string, pod = '10.0.0.9:15008'): void =>
      telemetry.rejectedEarly({
        sourceAddress: `10.0.0.5:${port}`,
        destinationAddress: pod,
        direction: 'inbound',
        error,
      })

    // What a peer can choose, its port and what is quoted of it, makes no new cause.
    for (let i = 0; i < 1000; i++) reject(i, `no valid authority pseudo header: attack-${i}`)
    t.equal(destination.lines.length, 50)
    reject(1, 'tls handshake error: bad certificate')
    t.equal(destination.lines.length, 51, 'another cause is heard')
    reject(1, 'no valid authority pseudo header: x', '10.0.0.10:15008')
    t.equal(destination.lines.length, 52, 'so is the same cause at another workload')
    clock.advance(10_000)
    reject(1, 'no valid authority pseudo header: later')
    t.match(destination.lines.at(-1), 'suppressed=950')
  },
)
