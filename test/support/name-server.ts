// A name server for `example.com` on the address given, port 53, UDP; says
// `listening` when it does. Any other name does not exist.
import { createSocket } from 'node:dgram'
import { decode, encode } from 'dns-packet'

const [address = '', answer = ''] = process.argv.slice(2)
const NXDOMAIN = 3
const socket = createSocket('udp4')

socket.on('message', (message, from) => {
  const { id = 0, questions = [] } = decode(message)
  const known = questions[0]?.name === 'example.com' && questions[0].type === 'A'
  const reply = known
    ? encode({
        type: 'response',
        id,
        questions,
        answers: [{ type: 'A', name: 'example.com', data: answer, ttl: 60 }],
      })
    : encode({ type: 'response', id, flags: NXDOMAIN, questions })
  socket.send(reply, from.port, from.address)
})
socket.bind(53, address, () => process.stdout.write('listening\n'))
