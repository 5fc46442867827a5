import fc from 'fast-check'
import t from 'tap'
import { type FileSystemPort, loadConfig } from './config.ts'
import { checkNames, editDistance, nearest } from './names.ts'

const FILES: FileSystemPort = { exists: () => true, readText: () => '' }
const BASE = { CA_ROOT_CA: 'SYSTEM', XDS_ROOT_CA: 'SYSTEM', AUTH_TOKEN: 'x' }

t.test('an unknown ZTUNNEL_ name is refused with the nearest that exists', async (t) => {
  t.throws(() => loadConfig({ ...BASE, ZTUNNEL_ADMIN_PROT: '1' }, FILES), {
    name: 'ProxyError',
    code: 'configuration',
    message: 'unknown env var ZTUNNEL_ADMIN_PROT (did you mean ZTUNNEL_ADMIN_PORT?)',
  })
  t.throws(() => checkNames({ ZTUNNEL_X: '1' }, new Set(['NETWORK'])), {
    message: 'unknown env var ZTUNNEL_X',
  })
})

t.test('what Kubernetes makes of a service named ztunnel is not ours', async (t) => {
  const env = {
    ZTUNNEL_SERVICE_HOST: '10.0.0.1',
    ZTUNNEL_SERVICE_PORT: '15008',
    ZTUNNEL_SERVICE_PORT_HBONE: '15008',
    ZTUNNEL_PORT: 'tcp://10.0.0.1:15008',
    ZTUNNEL_PORT_15008_TCP: 'tcp://10.0.0.1:15008',
    ZTUNNEL_PORT_15008_TCP_ADDR: '10.0.0.1',
    ZTUNNEL_METRICS_PORT_15020_TCP_PROTO: 'tcp',
  }
  t.same(checkNames(env, new Set(['ZTUNNEL_ADMIN_PORT'])), [])
})

t.test('what names the program of another part of this package is not refused', async (t) => {
  t.same(checkNames({ ZTUNNEL_ENVOY: '/opt/envoy', ZTUNNEL_LAB_X: '1' }, new Set(['ADMIN_PORT'])), [])
  t.throws(() => checkNames({ ZTUNNEL_ENVOYS: '1' }, new Set(['ADMIN_PORT'])))
})

t.test('a slip in another name is warned about, a different name is not', async (t) => {
  const config = loadConfig({ ...BASE, XDS_ADRESS: 'x', PATH: '/bin', HOSTNAME: 'h', EDITOR: 'vi' }, FILES)
  t.same(
    config.warnings.filter((warning) => warning.includes('did you mean')),
    ['env var XDS_ADRESS has no effect: did you mean XDS_ADDRESS?'],
  )
})

t.test('the distance is a metric, and gives up at its bound', async (t) => {
  t.equal(editDistance('kitten', 'sitting', 9), 3)
  t.equal(editDistance('kitten', 'sitting', 2), 3)
  t.equal(
    nearest('ZTUNNEL_WORKER_THREAD', ['ZTUNNEL_STATS_PORT', 'ZTUNNEL_WORKER_THREADS']),
    'ZTUNNEL_WORKER_THREADS',
  )
  const word = fc.string({ maxLength: 12 })
  fc.assert(
    fc.property(word, word, word, (a, b, c) => {
      const d = (x: string, y: string) => editDistance(x, y, 100)
      return d(a, b) === d(b, a) && (d(a, b) === 0) === (a === b) && d(a, c) <= d(a, b) + d(b, c)
    }),
  )
})
