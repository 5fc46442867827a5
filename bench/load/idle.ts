// Opens a number of TCP connections, has each begun at the far application with
// one byte, says so, and lets them rest until it is killed.
//   idle.ts HOST PORT COUNT
import { once } from 'node:events'
import { connect } from 'node:net'

const [host = '', port = '0', count = '1'] = process.argv.slice(2)
const AT_ONCE = 50

for (let opened = 0; opened < Number(count); opened += AT_ONCE) {
  await Promise.all(
    Array.from({ length: Math.min(AT_ONCE, Number(count) - opened) }, async () => {
      const socket = connect({ host, port: Number(port) })
      socket.on('error', ({ message }) => fail(message))
      socket.on('close', () => fail('closed'))
      await once(socket, 'connect')
      socket.write('i')
    }),
  )
}
process.stdout.write('open\n')

function fail(why: string): never {
  process.stderr.write(`an idle connection did not stay: ${why}\n`)
  process.exit(1)
}
