// The far end of the benchmarks, as cheap as it can be: an HTTP/1.1 server with
// fixed answers, and a TCP server that does what its first byte asks.
//   u  swallows, and when the client has ended, answers with how many bytes
//   d  pours
//   b  both
//   i  rests
import { createServer, type Socket } from 'node:net'

const [httpPort = '18080', tcpPort = '19090'] = process.argv.slice(2)
const SMALL = { keep: answer(128), last: answer(128, 'Connection: close\r\n') }
const LARGE = { keep: answer(1024), last: answer(1024, 'Connection: close\r\n') }
const CHUNK = Buffer.alloc(256 * 1024, 'y')
const BACKLOG = 4096

const http = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => undefined)
  // Clients wait for their answer: a piece that ends like a request is the end of one.
  socket.on('data', (piece: Buffer) => {
    if (piece.length < 4 || piece.readUInt32BE(piece.length - 4) !== END_OF_HEADERS) return
    const text = piece.toString('latin1')
    const body = text.startsWith('GET /1k') ? LARGE : SMALL
    // It says that this was the last, and leaves it to the client to close: an Envoy
    // loses an answer behind which the server has closed already.
    socket.write(text.includes('Connection: close') ? body.last : body.keep)
  })
})

const tcp = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
  socket.on('error', () => undefined)
  socket.once('data', (first: Buffer) => {
    const mode = String.fromCharCode(first[0] ?? 0)
    if (mode === 'u' || mode === 'b') swallow(socket, first.length - 1)
    else socket.on('end', () => socket.destroy()).resume()
    if (mode === 'd' || mode === 'b') pour(socket)
  })
})

const END_OF_HEADERS = 0x0d0a0d0a

http.listen({ port: Number(httpPort), host: '0.0.0.0', backlog: BACKLOG }, () =>
  tcp.listen({ port: Number(tcpPort), host: '0.0.0.0', backlog: BACKLOG }, () =>
    process.stdout.write('listening\n'),
  ),
)

function swallow(socket: Socket, begun: number): void {
  let received = begun
  socket.on('data', (piece: Buffer) => {
    received += piece.length
  })
  socket.on('end', () => {
    socket.removeAllListeners('drain')
    socket.end(String(received).padStart(20))
  })
}

function pour(socket: Socket): void {
  const more = (): void => {
    while (socket.writable && !socket.readableEnded && socket.write(CHUNK));
  }
  socket.on('drain', more)
  more()
}

function answer(bytes: number, more = ''): Buffer {
  const head = `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${bytes}\r\n${more}\r\n`
  return Buffer.from(head + 'x'.repeat(bytes))
}
