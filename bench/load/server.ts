// The far end of the benchmarks: an HTTP server with a small fixed answer, and
// a TCP server that either swallows or pours, as its first byte asks.
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'

const [httpPort = '18080', tcpPort = '19090'] = process.argv.slice(2)
const BODY = Buffer.alloc(128, 'x')
const CHUNK = Buffer.alloc(256 * 1024, 'y')

const http = createHttpServer((_request, response) => {
  response.writeHead(200, { 'content-length': BODY.length })
  response.end(BODY)
})
http.keepAliveTimeout = 60_000

const tcp = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {})
  socket.once('data', (first) => {
    if (first[0] !== POUR) return void socket.resume()
    const pour = (): void => {
      while (socket.writable && socket.write(CHUNK));
    }
    socket.on('drain', pour)
    pour()
  })
})
const POUR = 'd'.charCodeAt(0)

http.listen(Number(httpPort), '0.0.0.0', () =>
  tcp.listen(Number(tcpPort), '0.0.0.0', () => process.stdout.write('listening\n')),
)
