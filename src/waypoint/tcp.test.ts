import type { Socket } from 'node:net'
import t from 'tap'
import { HboneError } from '../hbone/index.ts'
import { eventually } from '../hbone/test-support.ts'
import type { TcpBackend, TcpRoute } from '../mesh/http/index.ts'
import { serviceKey } from '../mesh/index.ts'
import { aPort, aService, aWorkload } from '../mesh/test-support.ts'
import { aHttpMatch, CLIENT, GATEWAY, NET, readUntil, startWaypointLab, VIP } from './test-support.ts'

/** Gives back what it gets, line by line, and ends with its client. */
function echo(socket: Socket): void {
  socket.on('data', (chunk) => socket.write(chunk)).on('end', () => socket.end())
  socket.resume()
}

/** Speaks first, then echoes. */
function greeter(socket: Socket): void {
  socket.write('220 hello\r\n')
  echo(socket)
}

t.test('TCP for the service: an endpoint gets it from the waypoint, as the waypoint', async (t) => {
  const lab = await startWaypointLab(t, { appProtocol: 'TCP' })
  const { seen, port } = await lab.endpoint('server', `${NET}.11`, echo)
  const tunnel = await lab.tunnel(`${VIP}:80`, CLIENT, { forwarded: `for="${NET}.1:40000"` })
  tunnel.write('hello')
  t.equal(await readUntil(tunnel, (text) => text.length >= 5), 'hello')
  t.match(seen, [
    {
      authority: { host: `${NET}.11`, port },
      peer: { address: `${NET}.2`, identity: { serviceAccount: 'waypoint' } },
      headers: { forwarded: /^for="127\.\d+\.\d+\.1:\d+";host=server\.default\.svc\.cluster\.local$/ },
    },
  ])
  tunnel.end()
  await eventually('the line of the connection', () => lab.log.some((line) => line['bytes_sent'] === 5))
  t.match(
    lab.log.find(({ message }) => message === 'connection complete'),
    {
      'src.workload': 'client',
      'src.identity': 'spiffe://cluster.local/ns/default/sa/client',
      'dst.workload': 'server',
      'dst.service': 'server.default.svc.cluster.local',
      'dst.hbone_addr': `${VIP}:80`,
      waypoint: 'default/waypoint',
    },
  )
})

t.test(
  'a port that does not say: the server may speak first, the client may, HTTP is told apart',
  async (t) => {
    const lab = await startWaypointLab(t)
    await lab.endpoint('server', `${NET}.11`, greeter)
    const silent = await lab.tunnel(`${VIP}:80`)
    t.equal(
      await readUntil(silent, (text) => text.includes('\n')),
      '220 hello\r\n',
      'the client has said nothing',
    )
    silent.write('EHLO me\r\n')
    t.equal(await readUntil(silent, (text) => text.includes('\n')), 'EHLO me\r\n')
    const early = await lab.tunnel(`${VIP}:80`)
    early.write(Buffer.from([0, 1, 2, 3]))
    const answer = await readUntil(early, (text) => text.length >= 15)
    t.equal(answer, '220 hello\r\n\u0000\u0001\u0002\u0003', 'bytes that were looked at are not lost')
    const ended = await lab.tunnel(`${VIP}:80`)
    ended.end('GE')
    t.equal(await readUntil(ended, () => false), '220 hello\r\nGE', 'a client that has no more to say')
  },
)

t.test('what is not the waypoint’s is refused with a status and the reason', async (t) => {
  const lab = await startWaypointLab(t)
  const { workload, port } = await lab.endpoint('server', `${NET}.11`, echo)
  const refusal = async (authority: string): Promise<number | undefined> => {
    const error = await lab.tunnel(authority).then(
      () => undefined,
      (reason: unknown) => reason,
    )
    return error instanceof HboneError ? error.status : undefined
  }
  t.equal(await refusal(`${workload.addresses[0]}:${port}`), 400, 'a pod without this waypoint')
  t.equal(await refusal(`${NET}.2:15000`), 400, 'the waypoint itself')
  t.equal(await refusal('127.0.0.1:15000'), 400, 'loopback')
  t.equal(await refusal('nobody.example:80'), 400)
  t.equal(await refusal(`${VIP}:81`), 503, 'a port that the service has not')
  await eventually('all lines', () => lab.log.length === 5)
  t.match(lab.log[0], {
    message: 'connection failed',
    error:
      /not served by this waypoint: workload .*server .*has another waypoint or none \(asked for 127\.\d+\.\d+\.11/,
  })
})

t.test('declared TCP without an endpoint, or with one that is gone: 503, and the reason', async (t) => {
  const lab = await startWaypointLab(t, { appProtocol: 'TCP' })
  await t.rejects(lab.tunnel(`${VIP}:80`), { code: 'status', status: 503 })
  await eventually('the line', () => lab.log.some(({ error }) => /no healthy endpoint/.test(String(error))))
  const endpoint = await lab.endpoint('server', `${NET}.11`, echo)
  endpoint.die()
  await t.rejects(lab.tunnel(`${VIP}:80`), { code: 'status', status: 503 })
})

t.test('a pod that was addressed gets its own, whatever other endpoints there are', async (t) => {
  const lab = await startWaypointLab(t)
  const first = await lab.endpoint('first', `${NET}.11`, greeter, { waypoint: GATEWAY })
  const second = await lab.endpoint('second', `${NET}.12`, greeter, { waypoint: GATEWAY })
  for (let i = 0; i < 4; i++) {
    const tunnel = await lab.tunnel(`${NET}.12:${second.port}`)
    await readUntil(tunnel, (text) => text.includes('\n'))
  }
  t.equal(first.seen.length, 0)
  t.ok(second.seen.length > 0)
})

t.test('plaintext is not served', async (t) => {
  const lab = await startWaypointLab(t)
  const { connect } = await import('node:net')
  const socket = connect({ host: `${NET}.2`, port: 15_008 })
  socket.on('error', () => {})
  socket.write('GET / HTTP/1.1\r\nhost: server\r\n\r\n')
  const got = await readUntil(socket, () => false)
  t.notMatch(got, /HTTP/)
  await eventually('the line', () => lab.log.some(({ message }) => message === 'connection failed'))
})

t.test('drain: what is open goes on, what is new is refused', async (t) => {
  const lab = await startWaypointLab(t, { appProtocol: 'TCP' })
  await lab.endpoint('server', `${NET}.11`, echo)
  const tunnel = await lab.tunnel(`${VIP}:80`)
  const drained = lab.waypoint.drain()
  await t.rejects(lab.tunnel(`${VIP}:80`), 'nobody listens any more')
  tunnel.write('still here')
  t.equal(await readUntil(tunnel, (text) => text.length >= 10), 'still here')
  tunnel.end()
  await drained
  t.pass('the drain ends with the last connection')
})

t.test('a stranger’s account of its client is not believed, a served pod’s is', async (t) => {
  const lab = await startWaypointLab(t, { appProtocol: 'TCP' })
  const pod = await lab.endpoint('pod', `${NET}.11`, echo, { waypoint: GATEWAY })
  const other = aWorkload({ name: 'other', addresses: [`${NET}.13`], waypoint: GATEWAY })
  lab.mesh.upsertWorkload(other)
  const headers = {
    'x-ztunnel-client-identity': 'spiffe://cluster.local/ns/default/sa/admin',
    forwarded: `for="${NET}.99:1234"`,
  }
  const asked = `${NET}.11:${pod.port}`
  const seenAs = async (
    from = CLIENT,
    more: Readonly<Record<string, string>> = headers,
  ): Promise<unknown[]> => {
    const before = lab.log.length
    const tunnel = await lab.tunnel(asked, from, more)
    tunnel.end()
    await readUntil(tunnel, () => false)
    const closed = () => lab.log.slice(before).find(({ message }) => message === 'connection complete')
    await eventually('the line', () => closed() !== undefined)
    return [closed()?.['src.identity'], String(closed()?.['src.addr']).replace(/:\d+$/, '')]
  }
  const sa = (name: string) => `spiffe://cluster.local/ns/default/sa/${name}`
  t.same(await seenAs(CLIENT), [sa('client'), `${NET}.1`], 'anybody')
  t.same(await seenAs(other), [sa('other'), `${NET}.13`], 'a pod of this waypoint, but not the one asked for')
  const impostor = aWorkload({ ...pod.workload, addresses: [`${NET}.14`] })
  t.same(await seenAs(impostor), [sa('pod'), `${NET}.14`], 'its identity from another address')
  t.same(await seenAs(pod.workload), [sa('admin'), `${NET}.99`], 'the ztunnel of the pod that is asked for')
  const none = { ...headers, 'x-ztunnel-client-identity': 'none' }
  t.same(await seenAs(pod.workload, none), [undefined, `${NET}.99`], 'a client that proved nothing')
  const broken = { ...headers, forwarded: 'for=somebody' }
  await t.rejects(lab.tunnel(asked, pod.workload, broken), { code: 'status', status: 400 })
})

t.test('policy: a connection that is denied gets 401; one that is denied later is cut', async (t) => {
  const lab = await startWaypointLab(t, { appProtocol: 'TCP' })
  await lab.endpoint('server', `${NET}.11`, echo)
  const open = await lab.tunnel(`${VIP}:80`)
  open.write('hello')
  t.equal(await readUntil(open, (text) => text.length >= 5), 'hello')
  const targets = [{ kind: 'service', service: 'default/server.default.svc.cluster.local' }] as const
  const rules = [
    [[aHttpMatch({ principals: [{ kind: 'exact', value: 'cluster.local/ns/default/sa/client' }] })]],
  ]
  lab.rules.policies.apply({
    upserts: [{ name: 'no', namespace: 'default', targets, action: 'DENY', dryRun: false, rules }],
  })
  await readUntil(open, () => false)
  t.equal(open.destroyed || open.readableEnded, true, 'cut')
  await t.rejects(lab.tunnel(`${VIP}:80`), { code: 'status', status: 401 })
  await eventually('both lines', () => lab.log.filter(({ policy }) => policy === 'default/no').length === 2)
  lab.rules.policies.apply({ removals: ['default/no'] })
  t.ok(await lab.tunnel(`${VIP}:80`), 'and let in again')
})

t.test('a TCPRoute shares connections out by weight, on a port that declares nothing', async (t) => {
  const lab = await startWaypointLab(t)
  const own = await lab.endpoint('own', `${NET}.11`, greeter)
  const canary = aService({ name: 'canary', addresses: [] })
  lab.mesh.apply([{ kind: 'upsert-service', service: canary }])
  const other = await lab.endpoint('other', `${NET}.12`, greeter, { services: new Map() })
  const services = new Map([[serviceKey(canary), [aPort(80, other.port)]]])
  lab.mesh.upsertWorkload({ ...other.workload, services })
  const backend = (name: string, weight: number): TcpBackend => ({
    target: { kind: 'service', service: `default/${name}.default.svc.cluster.local`, port: 80 },
    weight,
  })
  const route = (backends: readonly TcpBackend[]): TcpRoute => ({
    kind: 'TCPRoute',
    name: 'split',
    namespace: 'default',
    creationTimestamp: '',
    parents: [{ kind: 'service', service: 'default/server.default.svc.cluster.local', port: undefined }],
    rules: [{ name: undefined, backends }],
  })
  lab.rules.applyRoutes({ upserts: [route([backend('server', 0), backend('canary', 1)])], removals: [] })
  for (let i = 0; i < 3; i++) await readUntil(await lab.tunnel(`${VIP}:80`), (text) => text.includes('hello'))
  t.equal(own.seen.length, 0)
  t.equal(other.seen.length, 3)
  lab.rules.applyRoutes({ upserts: [route([backend('nowhere', 1)])], removals: [] })
  await t.rejects(lab.tunnel(`${VIP}:80`), { code: 'status', status: 503 })
  await eventually('the reason', () =>
    lab.log.some(({ error }) => /there is no service default\/nowhere/.test(String(error))),
  )
})
