import t from 'tap'
import { aService } from '../../mesh/test-support.ts'
import { aMesh, answered, startDns, startNameServer } from './test-support.ts'

t.test('7.2 names of services, in all their forms', async (t) => {
  const { proxy } = await startDns(t)
  for (const name of ['httpbin.bar', 'HTTPBIN.bar.svc', 'httpbin.bar.svc.cluster.local.'])
    t.strictSame(await proxy.lookup(name), ['10.96.0.1'], name)
})

t.test('an address is its own answer', async (t) => {
  const { proxy } = await startDns(t)
  t.strictSame(await proxy.lookup('192.0.2.1'), ['192.0.2.1'])
  t.strictSame(await proxy.lookup('fd00::1'), ['fd00::1'])
})

t.test('IPv6 where there is no IPv4', async (t) => {
  const mesh = aMesh()
  mesh.upsertService(
    aService({ name: 'six', namespace: 'bar', addresses: [{ network: '', address: 'fd00::6' }] }),
  )
  const { proxy } = await startDns(t, { mesh })
  t.strictSame(await proxy.lookup('six.bar'), ['fd00::6'])
})

t.test('names of the world, through a CNAME', async (t) => {
  const nameServer = await startNameServer(t, (query) =>
    answered(query, {
      answers: [
        { type: 'CNAME', name: 'www.example.com', data: 'example.com' },
        { type: 'A', name: 'example.com', data: '192.0.2.1' },
      ],
    }),
  )
  const { proxy } = await startDns(t, { nameServer })
  t.strictSame(await proxy.lookup('www.example.com'), ['192.0.2.1'])
})

t.test('a cut answer is asked for over TCP', async (t) => {
  const nameServer = await startNameServer(t, (query, transport) =>
    transport === 'udp'
      ? answered(query, { flags: 0x0200 })
      : answered(query, { answers: [{ type: 'A', name: 'example.com', data: '192.0.2.1' }] }),
  )
  const { proxy } = await startDns(t, { nameServer })
  t.strictSame(await proxy.lookup('example.com'), ['192.0.2.1'])
  t.strictSame(nameServer.asked, ['udp', 'tcp'])
})

t.test('what cannot be found says so', async (t) => {
  const table = [
    { what: 'nowhere', flags: 3, code: 'no-address' },
    { what: 'no address', flags: 0, code: 'no-address' },
    { what: 'failure', flags: 2, code: 'refused' },
  ]
  for (const { what, flags, code } of table) {
    const nameServer = await startNameServer(t, (query) => answered(query, { flags }))
    const { proxy } = await startDns(t, { nameServer })
    await t.rejects(proxy.lookup('x.test'), { name: 'DnsError', code }, what)
  }
})

t.test('what is no name is not asked for', async (t) => {
  const { proxy } = await startDns(t)
  for (const name of ['', '.', 'a..b', 'x'.repeat(64), `${'abc.'.repeat(70)}d`])
    await t.rejects(proxy.lookup(name), { name: 'DnsError', code: 'malformed' }, name)
})

t.test('a reply whose names lead nowhere is an error, not a crash', async (t) => {
  const nameServer = await startNameServer(t, (query) => {
    const reply = answered(query, {})
    reply.writeUInt16BE(9, 6)
    return Buffer.concat([reply, Buffer.from([0xc0, 0xff, 0, 1])])
  })
  const { proxy } = await startDns(t, { nameServer })
  await t.rejects(proxy.lookup('x.test'), { name: 'DnsError', code: 'refused' })
})
