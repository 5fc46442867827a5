import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { createLogger } from '../telemetry/index.ts'
import { startZtunnel } from './app.ts'
import { loadConfig } from './config/config.ts'
import { versionInfo } from './version.ts'

const PLAINTEXT_PORT = 26_006

/** Nobody listens there: the mesh stays unknown. */
const NOWHERE = 'https://127.0.0.1:1'

t.test(
  'a workload’s own proxy has its ports before it knows the mesh, and takes nothing yet (wire/ztunnel 1.7)',
  async (t) => {
    const config = loadConfig({
      PROXY_MODE: 'dedicated',
      PROXY_WORKLOAD_INFO: 'ns/pod/account',
      XDS_ADDRESS: NOWHERE,
      CA_ADDRESS: NOWHERE,
      XDS_ROOT_CA: 'SYSTEM',
      CA_ROOT_CA: 'SYSTEM',
      CONNECTION_TERMINATION_DEADLINE: '1s',
      ISTIO_META_DNS_CAPTURE: 'false',
      RUST_LOG: 'off',
      ZTUNNEL_OUTBOUND_PORT: '26001',
      ZTUNNEL_INBOUND_PLAINTEXT_PORT: String(PLAINTEXT_PORT),
      ZTUNNEL_INBOUND_HBONE_PORT: '26008',
      ZTUNNEL_ADMIN_PORT: '0',
      ZTUNNEL_STATS_PORT: '0',
      ZTUNNEL_READINESS_PORT: '0',
    })
    const logger = createLogger({ format: 'plain', level: 'off' })
    const ztunnel = await startZtunnel({ config, logger, version: versionInfo('test') })
    const client = connect(PLAINTEXT_PORT, '127.0.0.1')
    await once(client, 'connect')
    client.on('error', () => undefined)
    const metrics = async (): Promise<string> =>
      (await fetch(`http://127.0.0.1:${ztunnel.ports.stats}/metrics`)).text()
    t.match(
      await metrics(),
      /^istio_tcp_sockets_open\{reporter="destination"\} 0$/m,
      'the kernel took the connection, the proxy has not',
    )
    const ready = await fetch(`http://127.0.0.1:${ztunnel.ports.readiness}/healthz/ready`)
    t.equal(ready.status, 500)
    t.match(await ready.text(), /state manager/)
    client.destroy()
    await ztunnel.shutdown('immediate')
  },
)
