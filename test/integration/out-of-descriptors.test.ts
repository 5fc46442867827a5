import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import t from 'tap'

/** Of the listener's process; Node itself takes some 25. */
const DESCRIPTORS = 64
const CONNECTIONS = 300

t.test(
  'without descriptors the accept loop neither spins nor dies, and goes on when there are some',
  async (t) => {
    const program = new URL('../support/few-descriptors.ts', import.meta.url).pathname
    const limited = `ulimit -n ${DESCRIPTORS}; exec "$0" "$1"`
    const child = spawn('sh', ['-c', limited, process.execPath, program], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    t.teardown(() => child.kill('SIGKILL'))
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
    const port = Number((await lines.next()).value)
    const report = async (): Promise<Record<string, unknown>> => {
      child.stdin.write('\n')
      return JSON.parse(String((await lines.next()).value))
    }

    const held: Socket[] = []
    let ended = 0
    for (let i = 0; i < CONNECTIONS; i++) {
      const socket = connect({ port, host: '127.0.0.1' })
      socket.on('error', () => {}).resume()
      socket.once('close', () => void ended++)
      held.push(socket)
    }
    await Promise.all(
      held.map((socket) => Promise.race([once(socket, 'data'), once(socket, 'close')]).catch(() => [])),
    )
    const starved = await report()
    t.ok(Number(starved['accepted']) < DESCRIPTORS, `${starved['accepted']} accepted`)
    t.ok(Number(starved['cpuShare']) < 0.5, `CPU ${starved['cpuShare']}`)
    t.ok(Number(starved['errors']) <= CONNECTIONS, `${starved['errors']} errors`)
    t.ok(ended > 0, `${ended} connections were closed rather than left waiting`)

    for (const socket of held) socket.destroy()
    for (;;) {
      const socket = connect({ port, host: '127.0.0.1' })
      const [answer] = await Promise.race([once(socket, 'data'), once(socket, 'close')]).catch(() => [])
      socket.destroy()
      if (String(answer) === 'hello') break
    }
    t.pass('it accepts again')
  },
)
