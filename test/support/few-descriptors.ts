// A capture listener in a process that was given few descriptors. Says its
// port; answers each line on standard input with what happened so far and how
// much CPU time the next moment took.
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { CaptureListener } from '../../src/ztunnel/proxy/capture-listener.ts'
import { createSocketFactory } from '../../src/ztunnel/proxy/socket-factory.ts'

/** Over which CPU time is measured: a loop that spins would take most of it. */
const WINDOW_MS = 300

const seen = { accepted: 0, errors: [] as string[] }
const port = await freePort()
const listener = CaptureListener.create({
  sockets: createSocketFactory({ namespace: undefined, mark: undefined, reusePort: false }),
  address: '127.0.0.1',
  port,
  transparent: 'never',
  liveness: undefined,
  onConnection: ({ socket }) => {
    seen.accepted++
    socket.on('error', () => {}).resume()
    socket.once('end', () => socket.destroy())
    socket.write('hello')
  },
  onError: ({ message }) => void seen.errors.push(message),
})
await listener.run()
process.stdout.write(`${port}\n`)
for await (const _ of createInterface({ input: process.stdin })) {
  const before = process.cpuUsage()
  await sleep(WINDOW_MS)
  const { user, system } = process.cpuUsage(before)
  const cpuShare = (user + system) / 1000 / WINDOW_MS
  process.stdout.write(
    `${JSON.stringify({ accepted: seen.accepted, errors: seen.errors.length, error: seen.errors[0], cpuShare })}\n`,
  )
}
process.exit()

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
