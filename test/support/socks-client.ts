// A client program: opens a connection through the SOCKS5 port of its pod, by
// name, sends one HTTP request and prints the first line of the answer, or the
// proxy's reply code when there is no connection.
import { once } from 'node:events'
import { connect } from 'node:net'

const [name = '', port = '80'] = process.argv.slice(2)
const socket = connect({ host: '127.0.0.1', port: 15_080 })
const request = Buffer.concat([
  Buffer.from([5, 1, 0, 3, name.length]),
  Buffer.from(name),
  Buffer.from([Number(port) >> 8, Number(port) & 255]),
])

async function read(length: number): Promise<Buffer> {
  for (;;) {
    const bytes: Buffer | null = socket.read(length)
    if (bytes !== null) return bytes
    await once(socket, 'readable')
  }
}

socket.write(Buffer.from([5, 1, 0]))
await read(2)
socket.write(request)
const reply = await read(10)
if (reply[1] !== 0) {
  process.stdout.write(JSON.stringify({ reply: reply[1] }))
} else {
  socket.write(`GET / HTTP/1.1\r\nhost: ${name}\r\nconnection: close\r\n\r\n`)
  const text = (await socket.setEncoding('utf8').toArray()).join('')
  process.stdout.write(JSON.stringify({ status: text.split('\r\n')[0] }))
}
socket.destroy()
