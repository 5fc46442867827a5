// A client program: opens a number of TCP connections, waits until every one has been greeted, and holds them. Prints
// `open`, then how many have ended, whenever one does; at the end of its input closes all and prints JSON.
import { once } from 'node:events'
import { connect } from 'node:net'

const [host = '', port = '0', count = '1'] = process.argv.slice(2)
let ended = 0

const sockets = await Promise.all(
  Array.from({ length: Number(count) }, async () => {
    const socket = connect({ host, port: Number(port) })
    await once(socket, 'data')
    // Its reason is of no interest, its end is.
    socket.on('error', () => {})
    socket.on('close', () => {
      ended++
      process.stdout.write(`ended ${ended}\n`)
    })
    return socket
  }),
)
process.stdout.write('open\n')
process.stdin.resume()
await once(process.stdin, 'end')
process.stdout.write(`${JSON.stringify({ open: sockets.length - ended })}\n`)
process.exit()
