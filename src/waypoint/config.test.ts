import t from 'tap'
import type { FileSystemPort } from '../ztunnel/config/config.ts'
import { loadWaypointConfig } from './config.ts'

const FILES: FileSystemPort = { exists: () => true, readText: () => '' }
const ENV = {
  POD_NAME: 'waypoint-1',
  POD_NAMESPACE: 'app',
  SERVICE_ACCOUNT: 'waypoint',
  INSTANCE_IP: '10.0.0.2',
  CA_ROOT_CA: 'SYSTEM',
  XDS_ROOT_CA: 'SYSTEM',
}

t.test('one workload, and the Gateway that its account is named after', async (t) => {
  const config = loadWaypointConfig(ENV, FILES)
  t.match(config, {
    workload: { name: 'waypoint-1', namespace: 'app', serviceAccount: 'waypoint' },
    gateway: { namespace: 'app', name: 'waypoint', className: 'istio-waypoint' },
    xfcc: false,
    base: {
      proxyMode: 'dedicated',
      dns: undefined,
      xdsNode: { id: 'waypoint~10.0.0.2~waypoint-1.app~app.svc.cluster.local' },
    },
  })
})

t.test('its own settings', async (t) => {
  const env = { ...ENV, GATEWAY_NAME: 'front', GATEWAY_CLASS: 'other', XFCC_INCLUDE_CLIENT_IDENTITY: 'true' }
  t.match(loadWaypointConfig(env, FILES), { gateway: { name: 'front', className: 'other' }, xfcc: true })
})

t.test('what it is must be told', async (t) => {
  for (const name of ['POD_NAME', 'POD_NAMESPACE', 'SERVICE_ACCOUNT']) {
    t.throws(() => loadWaypointConfig({ ...ENV, [name]: '' }, FILES), {
      code: 'configuration',
      message: new RegExp(`env var ${name} is not set`),
    })
  }
})

t.test('a slip in a name is an error, as it is for the node proxy', async (t) => {
  t.throws(
    () => loadWaypointConfig({ ...ENV, ZTUNNEL_ADMIN_PROT: '1' }, FILES),
    /did you mean ZTUNNEL_ADMIN_PORT/,
  )
})
