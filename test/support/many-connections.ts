// A client program: opens a number of TCP connections, and only when every one
// has been greeted sends a line of its own on each and closes its half. Prints
// how many got their own line back.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'

const [host = '', port = '0', count = '1'] = process.argv.slice(2)

const sockets = await Promise.all(
  Array.from({ length: Number(count) }, async (_, index): Promise<[Socket, number]> => {
    const socket = connect({ host, port: Number(port), allowHalfOpen: true })
    // Leaves the stream paused: the greeting stays for the answer's reader.
    await once(socket, 'readable')
    return [socket, index]
  }),
)
const answers = await Promise.all(
  sockets.map(async ([socket, index]) => {
    socket.end(`connection number ${index}.`)
    return (await text(socket)).includes(`connection number ${index}.`)
  }),
)
process.stdout.write(
  `${JSON.stringify({ open: sockets.length, answered: answers.filter(Boolean).length })}\n`,
)
