// Full TLS handshakes with the inbound proxy, as another proxy would make them:
// each connection is new, proves its identity, asks for one tunnel where the
// proxy speaks HBONE, gets one answer through it, and goes.
//   handshakes.ts hbone|tls HOST PORT AUTHORITY SECONDS AT-ONCE CHAIN KEY ROOTS
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect as connectHttp2 } from 'node:http2'
import type { Duplex } from 'node:stream'
import { connect, createSecureContext, type TLSSocket } from 'node:tls'

const [
  mode = 'hbone',
  host = '',
  port = '0',
  authority = '',
  seconds = '1',
  atOnce = '1',
  chain = '',
  key = '',
  roots = '',
] = process.argv.slice(2)
const REQUEST = 'GET / HTTP/1.1\r\nHost: bench\r\n\r\n'
const secureContext = createSecureContext({
  cert: readFileSync(chain),
  key: readFileSync(key),
  ca: readFileSync(roots),
  minVersion: 'TLSv1.3',
})

let [done, failed, resumed] = [0, 0, 0]
const began = performance.now()
const deadline = began + Number(seconds) * 1000
await Promise.all(Array.from({ length: Number(atOnce) }, loop))
const elapsed = (performance.now() - began) / 1000
process.stdout.write(`${JSON.stringify({ requests: done, failed, resumed, seconds: elapsed })}\n`)
process.exit()

async function loop(): Promise<void> {
  while (performance.now() < deadline) {
    try {
      await handshake()
      done += 1
    } catch (error) {
      if (failed === 0) process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
      failed += 1
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
}

async function handshake(): Promise<void> {
  const socket = connect({
    host,
    port: Number(port),
    secureContext,
    ...(mode === 'hbone' ? { ALPNProtocols: ['h2'] } : {}),
    // By the roots alone: a workload's certificate has a SPIFFE id and no DNS name.
    checkServerIdentity: () => undefined,
  })
  try {
    await once(socket, 'secureConnect')
    if (socket.isSessionReused()) resumed += 1
    await exchange(mode === 'hbone' ? await tunnel(socket) : socket)
  } finally {
    socket.destroy()
  }
}

async function tunnel(socket: TLSSocket): Promise<Duplex> {
  const session = connectHttp2(`https://${host}`, { createConnection: () => socket })
  session.on('error', () => undefined)
  const stream = session.request({ ':method': 'CONNECT', ':authority': authority }, { endStream: false })
  stream.on('error', () => undefined)
  const [headers] = await once(stream, 'response')
  if (headers[':status'] !== 200) throw new Error(`CONNECT ${authority}: ${headers[':status']}`)
  return stream
}

async function exchange(stream: Duplex): Promise<void> {
  stream.write(REQUEST)
  await once(stream, 'data')
}
