import { closeSync } from 'node:fs'
import t from 'tap'
import { AF_INET, SOCK_RAW } from '../../linux/constants.ts'
import { check, libc } from '../../linux/libc.ts'
import { encodeInetAddress } from '../../linux/sockaddr.ts'
import { answered, askOverUdp, question, resolveOverUdp, startDns, startNameServer } from './test-support.ts'

const IPPROTO_UDP = 17

/** What no socket sends, and any program with CAP_NET_RAW, which pods have unless it is taken from them. */
function sendFromPort0(port: number, message: Uint8Array): void {
  const datagram = Buffer.alloc(8 + message.length)
  datagram.writeUInt16BE(port, 2)
  datagram.writeUInt16BE(datagram.length, 4)
  datagram.set(message, 8)
  const fd = check(libc.socket(AF_INET, SOCK_RAW, IPPROTO_UDP), 'socket', 'a raw socket')
  try {
    const target = encodeInetAddress({ address: '127.0.0.1', port: 0 })
    check(libc.connect(fd, target, target.length), 'connect', 'a raw socket')
    check(libc.send(fd, datagram, datagram.length, 0), 'send', 'a raw socket')
  } finally {
    closeSync(fd)
  }
}

t.test('a question from port 0, where no reply can go, is survived', async (t) => {
  const dns = await startDns(t)
  sendFromPort0(dns.udp.port, question('httpbin.bar'))
  t.match(await resolveOverUdp(dns.udp, question('httpbin.bar')), { rcode: 'NOERROR' })
  await dns.proxy.drain()
})

t.test('12.10 a drain ends when the last reply has gone out', { timeout: 5_000 }, async (t) => {
  const asked = Promise.withResolvers<void>()
  const nameServer = await startNameServer(t, (query) => {
    asked.resolve()
    return answered(query, { answers: [{ type: 'A', name: 'slow.test', data: '192.0.2.7' }] })
  })
  const dns = await startDns(t, { nameServer })
  const reply = askOverUdp(dns.udp, question('slow.test'))
  await asked.promise
  const drained = dns.proxy.drain()
  t.ok((await reply).length > 0)
  await drained
})
