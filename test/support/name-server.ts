// A name server on the address given, port 53: `example.com` has the other
// address given, `large.example.com` the same but over TCP only, and no other
// name exists. Says `listening` when it does.
import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'
import { decode, encode, streamEncode } from 'dns-packet'

const [address = '', answer = ''] = process.argv.slice(2)
const NXDOMAIN = 3
const TRUNCATED = 0x0200

function replyTo(message: Buffer, transport: 'udp' | 'tcp'): Parameters<typeof encode>[0] {
  const { id = 0, questions = [] } = decode(message)
  const [{ name, type } = { name: '', type: 'A' }] = questions
  const known = ['example.com', 'large.example.com'].includes(name) && type === 'A'
  const common = { type: 'response', id, questions } as const
  if (!known) return { ...common, flags: NXDOMAIN }
  if (name.startsWith('large') && transport === 'udp') return { ...common, flags: TRUNCATED }
  return { ...common, answers: [{ type: 'A', name, data: answer, ttl: 60 }] }
}

const udp = createSocket('udp4')
udp.on('message', (message, from) => udp.send(encode(replyTo(message, 'udp')), from.port, from.address))
const tcp = createServer((socket) => {
  socket.on('error', () => socket.destroy())
  // One question in one segment is all that comes here.
  socket.once('data', (bytes: Buffer) => socket.end(streamEncode(replyTo(bytes.subarray(2), 'tcp'))))
})
tcp.listen(53, address, () => udp.bind(53, address, () => process.stdout.write('listening\n')))
