import t from 'tap'
import { type FileSystemPort, loadConfig } from './config.ts'

/** The variables of Istio's ztunnel (wire/ztunnel 2.4). `PREFIX_*` stands for the names with that prefix. */
const VARIABLES = `
  ENABLE_PROXY PROXY_MODE PROXY_WORKLOAD_INFO NETWORK NODE_NAME CLUSTER_ID ISTIO_META_CLUSTER_ID CLUSTER_DOMAIN
  TRUST_DOMAIN POD_NAMESPACE SERVICE_ACCOUNT POD_NAME INSTANCE_IP KUBERNETES_SERVICE_HOST XDS_ADDRESS CA_ADDRESS
  XDS_ROOT_CA CA_ROOT_CA ALT_XDS_HOSTNAME ALT_CA_HOSTNAME AUTH_TOKEN XDS_HEADER_* CA_HEADER_* XDS_ON_DEMAND
  LOCAL_XDS_PATH LOCAL_XDS PREFERED_SERVICE_NAMESPACE FAKE_CA SECRET_TTL CRL_PATH COMPLIANCE_POLICY TLS12_ENABLED
  AUTHZ_POLICY_INFO_LOGGING POOL_MAX_STREAMS_PER_CONNECTION POOL_UNUSED_RELEASE_TIMEOUT HTTP2_STREAM_WINDOW_SIZE
  HTTP2_CONNECTION_WINDOW_SIZE HTTP2_FRAME_SIZE KEEPALIVE_ENABLED KEEPALIVE_TIME KEEPALIVE_INTERVAL KEEPALIVE_RETRIES
  USER_TIMEOUT_ENABLED PACKET_MARK ENABLE_ORIG_SRC INPOD_UDS INPOD_PORT_REUSE UNSTABLE_ENABLE_SOCKS5
  LOCALHOST_APP_TUNNEL ENABLE_RESPONSE_BAGGAGE IPV6_ENABLED CONNECTION_TERMINATION_DEADLINE
  TERMINATION_GRACE_PERIOD_SECONDS ZTUNNEL_WORKER_THREADS ZTUNNEL_CPU_LIMIT ZTUNNEL_RESOURCE_CPU_LIMIT
  ZTUNNEL_RESOURCE_CPU_REQUEST PROXY_CONFIG LOG_FORMAT RUST_LOG ISTIO_META_* ISTIO_METAJSON_*
`

const FILES: FileSystemPort = { exists: () => true, readText: () => '' }

t.test(
  'every variable of Istio’s ztunnel is asked for: it works, is said to have no effect, or is refused',
  async (t) => {
    const asked = new Set<string>()
    let listed = false
    const env = new Proxy<Record<string, string | undefined>>(
      {
        PROXY_MODE: 'dedicated',
        PROXY_WORKLOAD_INFO: 'ns/pod/sa',
        CA_ROOT_CA: 'SYSTEM',
        XDS_ROOT_CA: 'SYSTEM',
      },
      {
        get: (target, name) => {
          asked.add(String(name))
          return Reflect.get(target, name)
        },
        ownKeys: (target) => {
          listed = true
          return Reflect.ownKeys(target)
        },
      },
    )
    loadConfig(env, FILES)
    const names = VARIABLES.trim().split(/\s+/)
    t.same(
      names.filter((name) => !name.endsWith('*') && !asked.has(name)),
      [],
    )
    t.equal(listed, true, 'prefixes are looked for')
  },
)
