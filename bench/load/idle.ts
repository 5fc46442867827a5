// Opens a number of TCP connections, sends one byte on each so that the far
// application has surely accepted it, says so, and lets them rest.
import { once } from 'node:events'
import { connect } from 'node:net'

const [host = '', port = '0', count = '1'] = process.argv.slice(2)
const AT_ONCE = 50

for (let opened = 0; opened < Number(count); opened += AT_ONCE) {
  await Promise.all(
    Array.from({ length: Math.min(AT_ONCE, Number(count) - opened) }, async () => {
      const socket = connect({ host, port: Number(port) })
      await once(socket, 'connect')
      socket.write('u')
    }),
  )
}
process.stdout.write('open\n')
