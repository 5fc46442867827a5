import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import t from 'tap'
import { NetworkNamespace } from './netns.ts'
import { runProgram } from './program.ts'
import { applyRedirection, redirectionInPlace, removeRedirection } from './redirection.ts'
import { listenTcp, openTcpSocket, originalDestination, socketFd } from './tcp-socket.ts'
import { addNamespace, ip, type NamespacePair, namespacePair } from './test-support.ts'

const MARK = 0x539

/** Rules, chains and routing of a namespace as text, without counters, times and the programs' versions. */
function snapshot(name: string): string {
  const tables = execFileSync('ip', ['netns', 'exec', name, 'iptables-save'], { encoding: 'utf8' })
  const lines = tables.split('\n').filter((line) => line.startsWith('-A') || line.includes('ISTIO'))
  const routing = ip('-n', name, 'rule', 'show') + ip('-n', name, 'route', 'show', 'table', 'all')
  return `${lines.map((line) => line.replace(/\[.*\]/, '')).join('\n')}\n${routing}`
}

function serveIn(
  ns: NetworkNamespace,
  options: { port: number; mark?: number; transparent?: 'required' },
  onConnection: (socket: net.Socket) => void,
): Promise<net.Server> {
  const { fd } = ns.run(() => listenTcp({ address: '::', ...options }))
  const server = net.createServer((socket) => {
    // Its FIN can be lost with the link, when the namespaces go first: it must not keep the process.
    socket.unref()
    // The far side resets what it did not read.
    socket.on('error', () => socket.destroy())
    onConnection(socket)
    // Else its end is never seen and it stays open.
    if (socket.readableFlowing === null) socket.resume()
  })
  server.listen({ fd })
  return once(server, 'listening').then(() => server)
}

function connectIn(ns: NetworkNamespace, address: string, port: number): net.Socket {
  const fd = ns.run(() => openTcpSocket({ family: address.includes(':') ? 6 : 4 }))
  return new net.Socket({ fd }).connect({ host: address, port })
}

async function firstText(socket: net.Socket): Promise<string> {
  const [chunk] = await once(socket, 'data')
  return Buffer.from(chunk).toString()
}

async function withPair(t: { teardown(fn: () => void): unknown }, prefix: string): Promise<NamespacePair> {
  const pair = namespacePair(prefix)
  t.teardown(() => pair.close())
  return pair
}

t.test('outbound: a connection of the app lands on 15001 and its destination can be read', async (t) => {
  const { pod } = await withPair(t, 'out')
  await applyRedirection(pod)
  const server = await serveIn(pod, { port: 15001, mark: MARK }, (socket) => {
    const fd = socketFd(socket)
    socket.end(JSON.stringify(fd === undefined ? null : originalDestination(fd)))
  })
  const socket = connectIn(pod, '203.0.113.9', 80)
  t.same(JSON.parse(await firstText(socket)), { address: '203.0.113.9', port: 80 })
  socket.destroy()
  server.close()
})

t.test('IPv6 is redirected alike, and its destination can be read', async (t) => {
  const { pod, client } = await withPair(t, 'six')
  await applyRedirection(pod, { ipv6: true })
  const servers = await Promise.all(
    [15001, 15006].map((port) =>
      serveIn(pod, { port, mark: MARK }, (socket) => {
        const fd = socketFd(socket)
        socket.end(JSON.stringify(fd === undefined ? null : originalDestination(fd)))
      }),
    ),
  )
  const out = connectIn(pod, '2001:db8::9', 443)
  t.same(JSON.parse(await firstText(out)), { address: '2001:db8::9', port: 443 })
  const into = connectIn(client, 'fd99::2', 8080)
  t.same(JSON.parse(await firstText(into)), { address: 'fd99::2', port: 8080 })
  for (const closable of servers) closable.close()
})

t.test('inbound: plaintext lands on 15006, 15008 is let through, 127.0.0.1 is not captured', async (t) => {
  const { pod, client, podAddress } = await withPair(t, 'in')
  await applyRedirection(pod)
  const describe = (label: string) => (socket: net.Socket) => {
    const fd = socketFd(socket)
    socket.end(JSON.stringify({ label, destination: fd === undefined ? null : originalDestination(fd) }))
  }
  const servers = await Promise.all([
    serveIn(pod, { port: 15006, mark: MARK }, describe('plaintext')),
    serveIn(pod, { port: 15008, mark: MARK }, describe('hbone')),
    serveIn(pod, { port: 8080 }, describe('app')),
  ])
  const [plain, hbone, local] = [
    connectIn(client, podAddress, 8080),
    connectIn(client, podAddress, 15008),
    connectIn(pod, '127.0.0.1', 8080),
  ]
  t.same(JSON.parse(await firstText(plain)), {
    label: 'plaintext',
    destination: { address: podAddress, port: 8080 },
  })
  t.equal(JSON.parse(await firstText(hbone)).label, 'hbone')
  t.equal(JSON.parse(await firstText(local)).label, 'app')
  for (const server of servers) server.close()
})

t.test('the proxy reaches the app from the client address and the replies come back', async (t) => {
  const { pod, client, clientAddress, podAddress } = await withPair(t, 'src')
  await applyRedirection(pod)
  let seen: string | undefined
  const app = await serveIn(pod, { port: 8080 }, (socket) => {
    seen = socket.remoteAddress
    socket.pipe(socket)
  })
  const proxy = await serveIn(pod, { port: 15006, mark: MARK, transparent: 'required' }, (inbound) => {
    const fd = pod.run(() => openTcpSocket({ family: 4, mark: MARK, transparentSource: clientAddress }))
    const upstream = new net.Socket({ fd }).connect({ host: podAddress, port: 8080 })
    upstream.on('error', (error) => inbound.destroy(error))
    inbound.on('close', () => upstream.destroy())
    upstream.pipe(inbound)
    inbound.pipe(upstream)
  })
  const socket = connectIn(client, podAddress, 8080)
  socket.write('there and back')
  t.equal(await firstText(socket), 'there and back')
  t.equal(seen?.replace('::ffff:', ''), clientAddress)
  socket.destroy()
  app.close()
  proxy.close()
})

t.test('without a listener captured traffic fails, it does not pass', async (t) => {
  const { pod, client, podAddress } = await withPair(t, 'shut')
  const app = await serveIn(pod, { port: 8080 }, (socket) => socket.end('reached'))
  await applyRedirection(pod)
  const [error] = await once(connectIn(client, podAddress, 8080), 'error')
  t.equal(error.code, 'ECONNREFUSED')
  app.close()
})

t.test('apply twice is apply once; remove leaves the namespace as it was', async (t) => {
  const ns = addNamespace('idem')
  t.teardown(() => {
    ns.close()
    ip('netns', 'del', 'idem')
  })
  const others =
    'iptables -t nat -A OUTPUT -d 192.0.2.1 -j ACCEPT; ip rule add pref 500 lookup 77; ip route add local 192.0.2.9 dev lo table 77'
  execFileSync('ip', ['netns', 'exec', 'idem', 'sh', '-c', others])
  const before = snapshot('idem')
  t.equal(await redirectionInPlace(ns), false)
  t.equal(await applyRedirection(ns), true)
  const applied = snapshot('idem')
  t.equal(await redirectionInPlace('/run/netns/idem'), true)
  t.equal(await applyRedirection(ns), false, 'nothing to do')
  t.equal(snapshot('idem'), applied)
  t.equal(await removeRedirection(ns), true)
  t.equal(snapshot('idem'), before)
  t.equal(await removeRedirection(ns), false)
})

t.test('damage is seen and repaired, options can change', async (t) => {
  const ns = addNamespace('repair')
  t.teardown(() => {
    ns.close()
    ip('netns', 'del', 'repair')
  })
  await applyRedirection(ns)
  const applied = snapshot('repair')
  const damage =
    'iptables -t nat -A OUTPUT -j ISTIO_OUTPUT; iptables -t nat -F ISTIO_PRERT; iptables -t mangle -D OUTPUT -j ISTIO_OUTPUT; ip rule del pref 32764'
  execFileSync('ip', ['netns', 'exec', 'repair', 'sh', '-c', damage])
  t.equal(await redirectionInPlace(ns), false)
  await applyRedirection(ns)
  t.equal(snapshot('repair'), applied)
  await applyRedirection(ns, { dnsCapture: true, ipv6: true })
  t.match(snapshot('repair'), /--sport 53 -j CT --zone 1/)
  t.equal(await redirectionInPlace(ns, { dnsCapture: true, ipv6: true }), true)
  await applyRedirection(ns, { captureInbound: false })
  t.notMatch(snapshot('repair'), /15006|15053|-j CT/)
  await removeRedirection(ns, { ipv6: true })
  t.notMatch(snapshot('repair'), /ISTIO|0x111/)
})

t.test('a namespace that cannot be entered is an error of the caller, once', async (t) => {
  const ns = addNamespace('closed')
  t.teardown(() => ip('netns', 'del', 'closed'))
  const unhandled: unknown[] = []
  const note = (reason: unknown) => void unhandled.push(reason)
  process.on('unhandledRejection', note)
  t.teardown(() => process.off('unhandledRejection', note))
  ns.close()
  await t.rejects(applyRedirection(ns), { code: 'closed' })
  await new Promise((resolve) => setImmediate(resolve))
  t.strictSame(unhandled, [])
})

t.test('a missing program is named with its package', async (t) => {
  const ns = NetworkNamespace.current()
  t.teardown(() => ns.close())
  await t.rejects(runProgram(ns, 'no-such-program', { arguments: [] }), { code: 'program-missing' })
  await t.rejects(runProgram(ns, 'ip', { arguments: ['no-such-object'] }), {
    code: 'program-failed',
    message: /no-such-object/,
  })
})
