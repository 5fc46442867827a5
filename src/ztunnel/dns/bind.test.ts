import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { createServer } from 'node:net'
import t from 'tap'
import { ip, namespacePair } from '../../linux/test-support.ts'
import { createLogger, createMetrics } from '../../telemetry/index.ts'
import { createLocalWorkload } from '../proxy/local-workload.ts'
import { createSocketFactory } from '../proxy/socket-factory.ts'
import { DnsProxy, type DnsProxyOptions } from './dns-proxy.ts'
import { aMesh, CLIENT, SETTINGS } from './test-support.ts'

const PORT = 15_053
const pair = namespacePair('dnsbind')
t.teardown(() => pair.close())

/** One in the namespace `pod`, on the real port; and the lines that it logged. */
function create(options: Partial<DnsProxyOptions> = {}): { proxy: DnsProxy; log: string[] } {
  const log: string[] = []
  const logger = createLogger({
    format: 'plain',
    level: 'debug',
    destination: { write: (line) => log.push(line) },
  })
  const mesh = aMesh()
  const proxy = DnsProxy.create({
    mesh,
    local: createLocalWorkload(mesh, CLIENT),
    sockets: createSocketFactory({ namespace: pair.pod, mark: 1337, reusePort: false }),
    settings: { ...SETTINGS, listen: { kind: 'localhost', port: PORT } },
    resolvConf: {
      current: () => ({ nameservers: [], search: [], timeoutMs: 1, attempts: 1, tcpOnly: false }),
    },
    metrics: createMetrics().dns,
    log: logger.scope('dns'),
    random: Math.random,
    ...options,
  })
  return { proxy, log }
}

/** `transport address` of each, in the order bound. */
async function endpoints(proxy: DnsProxy): Promise<readonly string[]> {
  return (await proxy.run()).map(
    ({ transport, address }) => `${transport} ${address.address}:${address.port}`,
  )
}

const ON_IPV4 = ['tcp 127.0.0.1:15053', 'udp 127.0.0.1:15053']
const ON_BOTH = [...ON_IPV4, 'tcp ::1:15053', 'udp ::1:15053']

t.test('1.2, 1.4 TCP and UDP on 127.0.0.1, then on ::1, in the pod', async (t) => {
  const { proxy, log } = create()
  t.teardown(() => proxy.close())
  t.strictSame(await endpoints(proxy), ON_BOTH)
  t.strictSame(log, [])
})

t.test('1.2 without IPv6 by configuration, 127.0.0.1 only', async (t) => {
  const { proxy } = create({
    settings: { ...SETTINGS, ipv6Enabled: false, listen: { kind: 'localhost', port: PORT } },
  })
  t.teardown(() => proxy.close())
  t.strictSame(await endpoints(proxy), ON_IPV4)
})

t.test('1.2 an address of its own', async (t) => {
  const listen = { kind: 'address', address: '10.99.0.2', port: PORT } as const
  const { proxy } = create({ settings: { ...SETTINGS, listen } })
  t.teardown(() => proxy.close())
  t.strictSame(await endpoints(proxy), ['tcp 10.99.0.2:15053', 'udp 10.99.0.2:15053'])
})

t.test('a ::1 that is taken costs the pod its ::1, not its proxy', async (t) => {
  const sockets = createSocketFactory({ namespace: pair.pod, mark: undefined, reusePort: false })
  const taken = createSocket('udp6')
  taken.bind({ fd: sockets.bindUdp({ address: '::1', port: PORT }) })
  t.teardown(() => taken.close())
  const { proxy, log } = create()
  t.teardown(() => proxy.close())
  t.strictSame(await endpoints(proxy), ON_IPV4)
  t.match(log, [/warn\tdns\tno DNS on ::1, on 127.0.0.1 only\t.*EADDRINUSE/])
})

t.test('1.3 IPv6 switched off in the pod: 127.0.0.1 only', async (t) => {
  ip('-n', pair.podName, '-6', 'address', 'del', '::1/128', 'dev', 'lo')
  t.teardown(() => void ip('-n', pair.podName, '-6', 'address', 'add', '::1/128', 'dev', 'lo'))
  const { proxy, log } = create()
  t.teardown(() => proxy.close())
  t.strictSame(await endpoints(proxy), ON_IPV4)
  t.match(log, [/debug\tdns\tno DNS on ::1/])
})

t.test('a 127.0.0.1 that is taken is an error, with nothing left open', async (t) => {
  const sockets = createSocketFactory({ namespace: pair.pod, mark: undefined, reusePort: false })
  const server = createServer().listen({
    fd: sockets.listen({ address: '127.0.0.1', port: PORT, transparent: 'never' }).fd,
  })
  await once(server, 'listening')
  const open = (): number => readdirSync('/proc/self/fd').length
  const before = open()
  t.throws(() => create(), {
    name: 'ProxyError',
    code: 'bind-failed',
    message: /^failed to bind to address 127\.0\.0\.1:15053: .*EADDRINUSE/,
  })
  t.equal(open(), before)
  server.close()
  await once(server, 'close')
  const { proxy } = create()
  t.strictSame(await endpoints(proxy), ON_BOTH, 'the ports are free again')
  proxy.close()
})

t.test('one that never ran leaves nothing open', async (t) => {
  const open = (): number => readdirSync('/proc/self/fd').length
  const before = open()
  const { proxy } = create()
  t.equal(open(), before + 4, 'what a pod costs: four descriptors')
  proxy.close()
  t.equal(open(), before)
})
