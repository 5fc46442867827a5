import '../support/own-namespaces.ts'
import t from 'tap'
import type { TlsFiles } from '../../src/sidecar/index.ts'
import { refusesServers } from './support/credentials-suite.ts'
import { serverBootstrap } from './support/envoy-server-config.ts'
import { ADDRESS, startInteropLab } from './support/interop-lab.ts'
import { dialIn } from './support/sockets.ts'

t.setTimeout(120_000)

const SERVER = ADDRESS['envoy/server']

t.test('our outbound proxy believes no Envoy that is not the pod it dialled', async (t) => {
  const lab = await startInteropLab(t)
  const start = (tls: TlsFiles) =>
    lab.envoy('envoy/server', serverBootstrap({ addresses: [SERVER], tls, ports: [{ port: 9000 }] }))
  await refusesServers(t, {
    lab,
    id: { serviceAccount: 'server' },
    start,
    dial: () => dialIn(lab.namespace('app/client'), SERVER, 9000),
    app: lab.app('envoy/server', 9000),
    downstream: 'http.connect_terminate',
  })
})
