import t from 'tap'
import { type Environment, type FileSystemPort, loadConfig } from './config.ts'

const files: FileSystemPort = { exists: (path) => path.endsWith('root-cert.pem'), readText: () => '' }
const load = (env: Environment) => loadConfig(env, files)

t.test('2.6 the DNS proxy is on unless its metadata says something else than true', async (t) => {
  for (const env of [
    {},
    { ISTIO_META_DNS_CAPTURE: 'TRUE' },
    { PROXY_CONFIG: 'proxyMetadata: {ISTIO_META_DNS_CAPTURE: "true"}' },
  ])
    t.match(load(env).dns, { listen: { kind: 'localhost', port: 15_053 } }, JSON.stringify(env))
  for (const env of [
    { ISTIO_META_DNS_CAPTURE: 'false' },
    { ISTIO_META_DNS_CAPTURE: '' },
    { ISTIO_META_DNS_CAPTURE: '1' },
    { PROXY_CONFIG: 'proxyMetadata: {DNS_CAPTURE: "off"}' },
  ])
    t.equal(load(env).dns, undefined, JSON.stringify(env))
  t.match(
    load({ PROXY_CONFIG: 'proxyMetadata: {DNS_CAPTURE: "false"}', ISTIO_META_DNS_CAPTURE: 'true' }).dns,
    {},
    'the variable wins',
  )
})

t.test('2.6 where it listens', async (t) => {
  const table: readonly (readonly [string, object])[] = [
    ['localhost:53', { kind: 'localhost', port: 53 }],
    ['10.0.0.1:15053', { kind: 'address', address: '10.0.0.1', port: 15_053 }],
    ['[fd00::1]:15053', { kind: 'address', address: 'fd00::1', port: 15_053 }],
  ]
  for (const [value, listen] of table)
    t.strictSame(load({ ISTIO_META_DNS_PROXY_ADDR: value }).dns?.listen, listen, value)
  for (const value of [
    '',
    '15053',
    'localhost',
    'example.com:53',
    '10.0.0.1:65536',
    'fd00::1:53',
    '[10.0.0.1]:53',
    '10.0.0.1:-1',
  ]) {
    const message = /^invalid env var ISTIO_META_DNS_PROXY_ADDR=.*localhost:PORT/
    t.throws(() => load({ ISTIO_META_DNS_PROXY_ADDR: value }), { code: 'configuration', message }, value)
  }
})

t.test('2.4 preferred namespace and SOCKS5', async (t) => {
  const config = load({ PREFERED_SERVICE_NAMESPACE: 'gateway', UNSTABLE_ENABLE_SOCKS5: 'true' })
  t.match(config, { dns: { preferredNamespace: 'gateway' }, socks5Enabled: true, warnings: [] })
})

t.test('2.4 without the proxy, DNS alone; without either, an error', async (t) => {
  t.match(load({ ENABLE_PROXY: 'false' }), { proxyEnabled: false, dns: {} })
  t.throws(
    () => load({ ENABLE_PROXY: 'false', ISTIO_META_DNS_CAPTURE: 'false' }),
    /nothing would be left to run/,
  )
})

t.test('2.4 on-demand xDS and DNS exclude each other', async (t) => {
  const config = load({ XDS_ON_DEMAND: 'true' })
  t.equal(config.dns, undefined)
  t.match(config.warnings, [/there is no DNS proxy/])
  t.throws(
    () => load({ XDS_ON_DEMAND: 'true', ISTIO_META_DNS_CAPTURE: 'true' }),
    /ISTIO_META_DNS_CAPTURE=true .*XDS_ON_DEMAND/,
  )
  t.strictSame(load({ XDS_ON_DEMAND: 'true', ISTIO_META_DNS_CAPTURE: 'false' }).warnings, [])
})
