import t from 'tap'
import { describeConfig, type Environment, type FileSystemPort, loadConfig } from './config.ts'
import { workerThreads } from './threads.ts'
import { parseDurationMs, Values } from './values.ts'

const ROOT = './var/run/secrets/istio/root-cert.pem'

function files(contents: Readonly<Record<string, string>> = {}): FileSystemPort {
  const all: Readonly<Record<string, string>> = { [ROOT]: 'pem', ...contents }
  return {
    exists: (path) => Object.hasOwn(all, path),
    readText: (path) => {
      const text = all[path]
      if (text === undefined) throw new Error(`no ${path}; there are ${Object.keys(all).join(', ')}`)
      return text
    },
  }
}

const load = (env: Environment = {}, contents?: Readonly<Record<string, string>>) =>
  loadConfig(env, files(contents))

t.test('defaults are Istio’s', async (t) => {
  t.strictSame(load(), {
    proxyMode: 'shared',
    proxyWorkload: undefined,
    ownWorkload: undefined,
    proxyEnabled: true,
    network: '',
    nodeName: undefined,
    clusterId: 'Kubernetes',
    clusterDomain: 'cluster.local',
    trustDomain: 'cluster.local',
    xds: {
      address: 'https://localhost:15012',
      roots: { rootCertFile: ROOT },
      alternativeHostname: undefined,
      headers: {},
    },
    xdsOnDemand: false,
    localMesh: undefined,
    ca: {
      address: 'https://localhost:15012',
      roots: { rootCertFile: ROOT },
      alternativeHostname: undefined,
      headers: {},
    },
    authToken: undefined,
    secretTtlSeconds: 86_400,
    xdsNode: {
      id: 'ztunnel~1.1.1.1~.~.svc.cluster.local',
      metadata: { NAME: '', NAMESPACE: '', INSTANCE_IPS: '1.1.1.1', NODE_NAME: '' },
    },
    ports: {
      outbound: 15001,
      inboundPlaintext: 15006,
      inboundHbone: 15008,
      admin: 15000,
      stats: 15020,
      readiness: 15021,
    },
    dns: { listen: { kind: 'localhost', port: 15_053 }, preferredNamespace: undefined },
    socks5Enabled: false,
    ipv6Enabled: true,
    originalSource: 'auto',
    packetMark: 1337,
    inpodUds: '/var/run/ztunnel/ztunnel.sock',
    inpodPortReuse: true,
    keepAlive: { timeSeconds: 180, intervalSeconds: 180, retries: 9 },
    userTimeoutSeconds: undefined,
    poolMaxStreamsPerConnection: 100,
    poolUnusedReleaseTimeoutMs: 300_000,
    http2StreamWindowSize: 4_194_304,
    http2ConnectionWindowSize: 16_777_216,
    http2FrameSize: 1_048_576,
    responseBaggage: true,
    localhostAppTunnel: true,
    waypointEnforcement: 'hairpin',
    drainDeadlineMs: 5000,
    // Of the machine's cores: threads.test.ts.
    numWorkerThreads: workerThreads(new Values({}), undefined),
    maxConnectionsPerWorkload: 512,
    metricsMaxLabelSets: 2000,
    logFormat: 'plain',
    logFilter: 'info',
    authzPolicyInfoLogging: false,
    istioVersion: undefined,
    warnings: [],
  })
})

t.test('the configuration cannot be changed', async (t) => {
  const config = load()
  t.throws(() => Object.assign(config.ports, { admin: 1 }), TypeError)
  t.throws(() => Object.assign(config, { network: 'x' }), TypeError)
})

t.test('each variable arrives where it belongs', async (t) => {
  const table: readonly (readonly [Environment, object])[] = [
    [
      { NETWORK: 'n1', NODE_NAME: 'node-1' },
      { network: 'n1', nodeName: 'node-1', xdsNode: { metadata: { NODE_NAME: 'node-1' } } },
    ],
    [{ CLUSTER_ID: 'a' }, { clusterId: 'a' }],
    [{ CLUSTER_ID: 'a', ISTIO_META_CLUSTER_ID: 'b' }, { clusterId: 'b' }],
    [
      { KUBERNETES_SERVICE_HOST: '10.0.0.1' },
      {
        xds: { address: 'https://istiod.istio-system.svc:15012' },
        ca: { address: 'https://istiod.istio-system.svc:15012' },
      },
    ],
    [
      { XDS_ADDRESS: 'xds.local:443', CA_ADDRESS: 'https://[::1]:9' },
      { xds: { address: 'https://xds.local:443' }, ca: { address: 'https://[::1]:9' } },
    ],
    [{ XDS_ADDRESS: '' }, { xds: undefined }],
    [
      { XDS_ROOT_CA: 'SYSTEM', CA_ROOT_CA: '/roots.pem' },
      { xds: { roots: { systemRoots: true } }, ca: { roots: { rootCertFile: '/roots.pem' } } },
    ],
    [
      { XDS_ROOT_CA: '-----BEGIN CERTIFICATE-----\nx' },
      { xds: { roots: { rootCertPem: '-----BEGIN CERTIFICATE-----\nx' } } },
    ],
    [
      { ALT_XDS_HOSTNAME: 'a', ALT_CA_HOSTNAME: 'b' },
      { xds: { alternativeHostname: 'a' }, ca: { alternativeHostname: 'b' } },
    ],
    [{ AUTH_TOKEN: '/token' }, { authToken: { kind: 'file', path: '/token' } }],
    [{ AUTH_TOKEN: 'eyJ.a.b' }, { authToken: { kind: 'literal', token: 'eyJ.a.b' } }],
    [
      { XDS_HEADER_X_Team: 'blue', CA_HEADER_a: 'b' },
      { xds: { headers: { x_team: 'blue' } }, ca: { headers: { a: 'b' } } },
    ],
    [{ SECRET_TTL: '1h30m' }, { secretTtlSeconds: 5400 }],
    [
      { PROXY_MODE: 'dedicated', PROXY_WORKLOAD_INFO: 'ns/pod/sa' },
      { proxyWorkload: { namespace: 'ns', name: 'pod', serviceAccount: 'sa' }, packetMark: undefined },
    ],
    [
      { POD_NAME: 'p', POD_NAMESPACE: 'n', SERVICE_ACCOUNT: 's', INSTANCE_IP: '10.0.0.2' },
      {
        ownWorkload: { name: 'p', namespace: 'n', serviceAccount: 's' },
        xdsNode: { id: 'ztunnel~10.0.0.2~p.n~n.svc.cluster.local' },
      },
    ],
    [{ PACKET_MARK: '0' }, { packetMark: undefined }],
    [
      { PACKET_MARK: '7', ENABLE_ORIG_SRC: 'true' },
      { packetMark: 7, originalSource: 'required' },
    ],
    [
      { ENABLE_ORIG_SRC: 'false', IPV6_ENABLED: 'false' },
      { originalSource: 'never', ipv6Enabled: false },
    ],
    [
      { INPOD_UDS: '/x', INPOD_PORT_REUSE: 'false' },
      { inpodUds: '/x', inpodPortReuse: false },
    ],
    [
      { KEEPALIVE_TIME: '10s', KEEPALIVE_INTERVAL: '5', KEEPALIVE_RETRIES: '3' },
      { keepAlive: { timeSeconds: 10, intervalSeconds: 5, retries: 3 } },
    ],
    [{ KEEPALIVE_ENABLED: 'false' }, { keepAlive: undefined }],
    [{ USER_TIMEOUT_ENABLED: 'true' }, { userTimeoutSeconds: 1800 }],
    [
      { LOCAL_XDS: '{}', XDS_ADDRESS: '' },
      { localMesh: { kind: 'inline', text: '{}' }, xds: undefined },
    ],
    [{ LOCAL_XDS_PATH: '/roots.pem' }, { localMesh: { kind: 'file', path: '/roots.pem' } }],
    [
      { POOL_MAX_STREAMS_PER_CONNECTION: '5', POOL_UNUSED_RELEASE_TIMEOUT: '250ms' },
      { poolMaxStreamsPerConnection: 5, poolUnusedReleaseTimeoutMs: 250 },
    ],
    [
      { HTTP2_STREAM_WINDOW_SIZE: '65535', HTTP2_CONNECTION_WINDOW_SIZE: '65535', HTTP2_FRAME_SIZE: '16384' },
      { http2StreamWindowSize: 65_535, http2ConnectionWindowSize: 65_535, http2FrameSize: 16_384 },
    ],
    [
      { ENABLE_RESPONSE_BAGGAGE: 'false', LOCALHOST_APP_TUNNEL: 'false' },
      { responseBaggage: false, localhostAppTunnel: false },
    ],
    [{ WAYPOINT_ENFORCEMENT: 'off' }, { waypointEnforcement: 'off' }],
    [
      { LOG_FORMAT: 'json', RUST_LOG: 'access=debug', AUTHZ_POLICY_INFO_LOGGING: 'true' },
      { logFormat: 'json', logFilter: 'access=debug', authzPolicyInfoLogging: true },
    ],
    [{ TERMINATION_GRACE_PERIOD_SECONDS: '30' }, { drainDeadlineMs: 25_000 }],
    [{ TERMINATION_GRACE_PERIOD_SECONDS: '10' }, { drainDeadlineMs: 9000 }],
    [{ TERMINATION_GRACE_PERIOD_SECONDS: '0' }, { drainDeadlineMs: 1000 }],
    [
      { TERMINATION_GRACE_PERIOD_SECONDS: '30', CONNECTION_TERMINATION_DEADLINE: '2s' },
      { drainDeadlineMs: 2000 },
    ],
    [
      { ZTUNNEL_ADMIN_PORT: '0', ZTUNNEL_INBOUND_HBONE_PORT: '25008' },
      { ports: { admin: 0, inboundHbone: 25_008 } },
    ],
  ]
  for (const [env, expected] of table)
    t.match(load(env, { '/roots.pem': '', '/token': '' }), expected, JSON.stringify(env))
})

t.test('wrong values name the variable, the value and what is expected', async (t) => {
  const table: readonly (readonly [Environment, string | RegExp])[] = [
    [{ PROXY_MODE: 'both' }, 'invalid env var PROXY_MODE=both (expected shared or dedicated)'],
    [
      { PROXY_MODE: 'dedicated' },
      /^invalid env var PROXY_WORKLOAD_INFO= \(expected namespace\/name\/service-account/,
    ],
    [{ PROXY_MODE: 'dedicated', PROXY_WORKLOAD_INFO: 'ns/pod' }, /PROXY_WORKLOAD_INFO=ns\/pod/],
    [{ IPV6_ENABLED: 'yes' }, 'invalid env var IPV6_ENABLED=yes (expected true or false)'],
    [{ IPV6_ENABLED: '' }, 'invalid env var IPV6_ENABLED= (expected true or false)'],
    [{ SECRET_TTL: 'soon' }, /^invalid env var SECRET_TTL=soon \(expected a duration/],
    [{ POOL_MAX_STREAMS_PER_CONNECTION: '65536' }, /whole number from 1 to 65535/],
    [{ PACKET_MARK: '-1' }, /whole number from 0 to 4294967295/],
    [{ HTTP2_FRAME_SIZE: '16383' }, /whole number from 16384 to 16777215/],
    [{ ZTUNNEL_STATS_PORT: '70000' }, /whole number from 0 to 65535/],
    [
      { XDS_ADDRESS: 'http://istiod:15010' },
      /^invalid env var XDS_ADDRESS=http:\/\/istiod:15010 \(expected https/,
    ],
    [{ XDS_ADDRESS: 'https://istiod:15012/path' }, /XDS_ADDRESS/],
    [{ XDS_ADDRESS: 'a b' }, /XDS_ADDRESS/],
    [{ CA_ADDRESS: '' }, /^invalid env var CA_ADDRESS= \(expected the address of a CA/],
    [
      { XDS_ROOT_CA: '/mistyped.pem' },
      /^invalid env var XDS_ROOT_CA=\/mistyped.pem \(expected the path of a PEM file that exists/,
    ],
    [{ CA_ROOT_CA: './mistyped.pem' }, /CA_ROOT_CA/],
    [{ AUTH_TOKEN: '/no/such/token' }, /^invalid env var AUTH_TOKEN=\/no\/such\/token/],
    [{ 'XDS_HEADER_a b': 'x' }, /XDS_HEADER_a b/],
    [{ RUST_LOG: 'loud' }, /^invalid env var RUST_LOG=loud/],
    [{ LOG_FORMAT: 'xml' }, 'invalid env var LOG_FORMAT=xml (expected plain or json)'],
    [{ ENABLE_PROXY: 'false', ISTIO_META_DNS_CAPTURE: 'false' }, /ENABLE_PROXY/],
    [{ PROXY_CONFIG: '{statsPort: many}' }, /PROXY_CONFIG is not a ProxyConfig/],
    [{ PROXY_CONFIG: '{' }, /PROXY_CONFIG is not YAML/],
    [
      { LOCAL_XDS_PATH: 'x.yaml' },
      /^invalid env var LOCAL_XDS_PATH=x.yaml \(expected the path of a YAML file/,
    ],
    [{ LOCAL_XDS_PATH: 'x.yaml', LOCAL_XDS: '{}' }, /LOCAL_XDS_PATH and LOCAL_XDS are both set/],
    [{ FAKE_CA: 'true' }, /^unsupported env var FAKE_CA/],
    [{ CRL_PATH: '/crl.pem' }, /^unsupported env var CRL_PATH/],
    [{ COMPLIANCE_POLICY: 'pqc' }, /^unsupported env var COMPLIANCE_POLICY/],
  ]
  for (const [env, message] of table) {
    t.throws(() => load(env), { name: 'ProxyError', code: 'configuration', message }, JSON.stringify(env))
  }
})

t.test('secrets are in no error', async (t) => {
  for (const env of [{ AUTH_TOKEN: 'secret\nsecret' }, { CA_HEADER_x: 'secret\u0000' }]) {
    t.throws(() => load(env), { message: /^(?!.*secret)invalid env var/s })
  }
})

t.test('without any root certificate the error says which file and which variable', async (t) => {
  const none: FileSystemPort = { exists: () => false, readText: () => '' }
  t.throws(() => loadConfig({}, none), /root-cert\.pem does not exist and env var XDS_ROOT_CA is not set/)
  t.doesNotThrow(() => loadConfig({ XDS_ADDRESS: '', CA_ROOT_CA: 'SYSTEM' }, none))
})

t.test('the default token file is used when it exists', async (t) => {
  const path = './var/run/secrets/tokens/istio-token'
  t.same(load({}, { [path]: 'x' }).authToken, { kind: 'file', path })
})

t.test('the mesh configuration, PROXY_CONFIG and ISTIO_META_ are merged in this order', async (t) => {
  const mesh =
    'defaultConfig:\n  discoveryAddress: mesh:1\n  statsPort: 1\n  concurrency: 2\n  tracing: {}\n  proxyMetadata: {ISTIO_META_A: mesh, B: mesh, C: mesh}\n'
  const config = load(
    {
      PROXY_CONFIG: '{"discoveryAddress":"own:2","proxyAdminPort":2,"proxyMetadata":{"B":"own","C":"own"}}',
      ISTIO_META_C: 'env',
      ISTIO_META_ISTIO_VERSION: '1.30.0',
      ISTIO_METAJSON_LABELS: '{"app":"ztunnel"}',
      ISTIO_METAJSON_BAD: '{',
    },
    { './etc/istio/config/mesh': mesh },
  )
  t.match(config, {
    xds: { address: 'https://own:2' },
    ports: { admin: 2, stats: 1 },
    istioVersion: '1.30.0',
  })
  t.match(config.xdsNode.metadata, { A: 'mesh', B: 'own', C: 'env', LABELS: { app: 'ztunnel' } })
  t.equal(config.numWorkerThreads, 2)
  t.match(config.warnings, [/ISTIO_METAJSON_BAD has no effect/])
  t.match(load({ ZTUNNEL_STATS_PORT: '3', PROXY_CONFIG: 'statsPort: 4' }).ports, { stats: 3 })
})

t.test('on-demand xDS is switched on by XDS_ON_DEMAND (2.4)', async (t) => {
  t.equal(load({}).xdsOnDemand, false)
  t.equal(load({ XDS_ON_DEMAND: 'true' }).xdsOnDemand, true)
})

t.test('what has no effect is said', async (t) => {
  t.same(load({ XDS_ON_DEMAND: 'false', TLS12_ENABLED: 'false', FAKE_CA: 'false' }).warnings, [])
  t.match(load({ TLS12_ENABLED: 'true' }).warnings, [/^env var TLS12_ENABLED=true has no effect/])
})

t.test('the description has everything but secrets', async (t) => {
  const config = load({
    AUTH_TOKEN: 'topsecret',
    XDS_HEADER_KEY: 'topsecret',
    CA_ROOT_CA: '-----BEGIN CERTIFICATE-----',
    POOL_UNUSED_RELEASE_TIMEOUT: '1500ms',
  })
  const description = describeConfig(config)
  t.notMatch(JSON.stringify(description), 'topsecret')
  t.match(description, {
    proxyMode: 'shared',
    authToken: '(not shown)',
    xds: { address: 'https://localhost:15012', rootCert: ROOT, headers: { key: '(not shown)' } },
    ca: { rootCert: 'inline PEM' },
    poolUnusedReleaseTimeout: { secs: 1, nanos: 500_000_000 },
    secretTtl: { secs: 86_400, nanos: 0 },
    keepAlive: { time: { secs: 180 } },
    ports: { admin: 15_000 },
  })
})

t.test('durations', async (t) => {
  const table: readonly (readonly [string, number | undefined])[] = [
    ['10s', 10_000],
    ['5', 5000],
    ['0', 0],
    ['1h30m', 5_400_000],
    ['1h 30m', 5_400_000],
    ['250ms', 250],
    ['2d', 172_800_000],
    ['1w', 604_800_000],
    ['', undefined],
    ['s', undefined],
    ['-1s', undefined],
    ['1.5s', undefined],
    ['10x', undefined],
    ['10s junk', undefined],
    ['99999999999999999999s', undefined],
  ]
  for (const [text, ms] of table) t.equal(parseDurationMs(text), ms, text)
})
