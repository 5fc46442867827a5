// As many bytes as go through some connections in some seconds. What is counted
// has arrived, so that no buffer on the way makes a proxy look faster.
//   bulk.ts up|down|both HOST PORT SECONDS CONNECTIONS
import { connect, type Socket } from 'node:net'

const [direction = 'up', host = '', port = '0', seconds = '1', connections = '1'] = process.argv.slice(2)
const CHUNK = Buffer.alloc(256 * 1024, 'z')
const COUNT_LENGTH = 20
const until = Number(seconds) * 1000

const began = performance.now()
const bytes = await Promise.all(Array.from({ length: Number(connections) }, one))
const elapsed = (performance.now() - began) / 1000
const total = bytes.reduce((all, each) => all + each, 0)
process.stdout.write(
  `${JSON.stringify({ bytes: total, seconds: elapsed, gbps: (total * 8) / elapsed / 1e9 })}\n`,
)
process.exit()

/** Bytes of one connection, of both directions. */
function one(): Promise<number> {
  return new Promise((resolve, reject) => {
    let received = 0
    let tail = Buffer.alloc(0)
    const read = (length: number, buffer: Buffer): boolean => {
      received += length
      if (direction !== 'down')
        tail = Buffer.concat([tail, buffer.subarray(0, length)]).subarray(-COUNT_LENGTH)
      return true
    }
    const socket = connect({
      host,
      port: Number(port),
      noDelay: true,
      onread: { buffer: Buffer.alloc(CHUNK.length), callback: read },
    })
    socket.on('error', reject)
    socket.on('connect', () => {
      socket.write(direction.slice(0, 1))
      if (direction !== 'down') pour(socket)
      setTimeout(() => {
        if (direction !== 'down') socket.end()
        else {
          socket.destroy()
          resolve(received)
        }
      }, until)
    })
    socket.on('end', () => {
      if (direction === 'down') reject(new Error('the connection was closed'))
      else resolve(Number(tail.toString()) + received - COUNT_LENGTH)
    })
  })
}

function pour(socket: Socket): void {
  const deadline = performance.now() + until
  const more = (): void => {
    while (socket.writable && performance.now() < deadline && socket.write(CHUNK));
  }
  socket.on('drain', more)
  more()
}
