import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import t from 'tap'
import { namespacePair } from '../../linux/test-support.ts'
import { aWorkload } from '../../mesh/test-support.ts'
import { createLogger, createMetrics } from '../../telemetry/index.ts'
import type { DnsDependencies } from '../dns/index.ts'
import { createSocketFactory } from './socket-factory.ts'
import { createProxy, createSvids, TEST_SETTINGS } from './test-support.ts'
import { type SharedDependencies, WorkloadProxy } from './workload-proxy.ts'

const pair = namespacePair('ports')
t.teardown(() => pair.close())
const svids = await createSvids(t)
const workload = aWorkload({ name: 'sleep' })

const DNS: DnsDependencies = {
  settings: {
    clusterDomain: 'cluster.local',
    preferredNamespace: undefined,
    ipv6Enabled: false,
    searchDomains: undefined,
    listen: { kind: 'localhost', port: 15_053 },
  },
  resolvConf: { current: () => ({ nameservers: [], search: [], timeoutMs: 1, attempts: 1, tcpOnly: false }) },
  metrics: createMetrics().dns,
  log: createLogger({ format: 'plain', level: 'off', destination: { write() {} } }).scope('dns'),
}

function create(overrides: Partial<SharedDependencies>): WorkloadProxy {
  const { deps } = createProxy(t, svids, workload)
  const metrics = createMetrics().traffic
  const shared: SharedDependencies = { ...deps, metrics, log: DNS.log, settings: TEST_SETTINGS, ...overrides }
  const sockets = createSocketFactory({ namespace: pair.pod, mark: undefined, reusePort: false })
  return WorkloadProxy.create(shared, deps.local, sockets)
}

/** `address:port` of what listens for TCP over IPv4 in the pod, as the kernel's table has it. */
function listening(): readonly string[] {
  const table = pair.pod.run(() => readFileSync('/proc/thread-self/net/tcp', 'utf8'))
  return [...table.matchAll(/: ([0-9A-F]{8}):([0-9A-F]{4}) \S+ 0A /g)]
    .map(
      ([, address = '', port = '']) =>
        `${Buffer.from(address, 'hex').reverse().join('.')}:${Number.parseInt(port, 16)}`,
    )
    .toSorted()
}

const CAPTURE = ['127.0.0.1:15001', '127.0.0.1:15006', '127.0.0.1:15008']
const ON = '127.0.0.1:15053'
const SOCKS = '127.0.0.1:15080'
const withSocks = { ...TEST_SETTINGS, ports: { ...TEST_SETTINGS.ports, socks5: 15_080 } }

t.test('1 which ports a workload has', async (t) => {
  const table: readonly (readonly [string, Partial<SharedDependencies>, readonly string[]])[] = [
    ['without DNS and SOCKS5', {}, CAPTURE],
    ['with DNS', { dns: DNS }, [...CAPTURE, ON]],
    [
      'with SOCKS5, on loopback only',
      { dns: DNS, settings: { ...withSocks, bindAddress: '0.0.0.0' } },
      [...CAPTURE.map((port) => port.replace('127.0.0.1', '0.0.0.0')), ON, SOCKS],
    ],
    ['ENABLE_PROXY=false', { dns: DNS, settings: { ...withSocks, proxyEnabled: false } }, [ON]],
  ]
  for (const [what, overrides, expected] of table) {
    const proxy = create(overrides)
    await proxy.run()
    t.strictSame(listening(), expected, what)
    await proxy.drain()
    proxy.close()
    t.strictSame(listening(), [], `${what}: closed`)
  }
})

t.test('1.4 when the last port is taken, the first ones are given back', async (t) => {
  const sockets = createSocketFactory({ namespace: pair.pod, mark: undefined, reusePort: false })
  const { fd } = sockets.listen({ address: '127.0.0.1', port: 15_080, transparent: 'never' })
  const server = createServer().listen({ fd })
  await once(server, 'listening')
  t.teardown(() => server.close())
  const before = readdirSync('/proc/self/fd').length
  t.throws(() => create({ dns: DNS, settings: withSocks }), {
    code: 'bind-failed',
    message: /127\.0\.0\.1:15080/,
  })
  t.strictSame(listening(), [SOCKS])
  t.ok(readdirSync('/proc/self/fd').length <= before)
})
