import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { closeSync } from 'node:fs'
import t from 'tap'
import { bindUdp } from './index.ts'
import { namespacePair } from './test-support.ts'

const pair = namespacePair('udp')
t.teardown(() => pair.close())

for (const [family, type, address, other] of [
  ['IPv4', 'udp4', '10.99.0.2', '10.99.0.1'],
  ['IPv6', 'udp6', 'fd99::2', 'fd99::1'],
] as const) {
  t.test(`a descriptor bound in a namespace serves there from outside of it, ${family}`, async (t) => {
    const server = createSocket(type)
    const client = createSocket(type)
    t.teardown(() => {
      server.close()
      client.close()
    })
    server.bind({ fd: pair.pod.run(() => bindUdp({ address, port: 5353 })) })
    client.bind({ fd: pair.client.run(() => bindUdp({ address: other, port: 0 })) })
    server.on('message', (message, from) => server.send(message, from.port, from.address))
    client.send('there and back', 5353, address)
    const [echo, from] = await once(client, 'message')
    t.equal(String(echo), 'there and back')
    t.match(from, { address, port: 5353 })
  })
}

t.test('a port in use is EADDRINUSE, and with reuse it is not', async (t) => {
  const bind = (reusePort: boolean): number =>
    pair.pod.run(() => bindUdp({ address: '127.0.0.1', port: 5454, reusePort, mark: 1337 }))
  const first = bind(true)
  t.throws(() => bind(false), { name: 'LinuxError', code: 'system-call', errno: 'EADDRINUSE' })
  const second = bind(true)
  closeSync(first)
  closeSync(second)
})

t.test('of two sockets on one port, the younger has all new datagrams', async (t) => {
  const bind = (): number =>
    pair.pod.run(() => bindUdp({ address: '10.99.0.2', port: 5656, reusePort: true }))
  const [older, younger, client] = [createSocket('udp4'), createSocket('udp4'), createSocket('udp4')]
  t.teardown(() => {
    for (const socket of [older, younger, client]) socket.close()
  })
  older.bind({ fd: bind() })
  client.bind({ fd: pair.client.run(() => bindUdp({ address: '10.99.0.1', port: 0 })) })
  client.send('alone', 5656, '10.99.0.2')
  const [first] = await once(older, 'message')
  t.equal(String(first), 'alone')
  older.on('message', () => t.fail('the older one was asked'))
  younger.bind({ fd: bind() })
  for (let n = 0; n < 20; n++) {
    const asked = once(younger, 'message')
    client.send(`${n}`, 5656, '10.99.0.2')
    t.equal(String((await asked)[0]), `${n}`)
  }
})

t.test('an address that the namespace does not have is EADDRNOTAVAIL', async (t) => {
  const bind = (): number => pair.pod.run(() => bindUdp({ address: '10.99.0.1', port: 5555 }))
  t.throws(bind, { name: 'LinuxError', errno: 'EADDRNOTAVAIL', message: /UDP 10\.99\.0\.1 port 5555/ })
})
