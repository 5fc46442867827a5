// deploy/kubernetes: what the manifests say, held against the proxy's own
// settings, the image and the compose file. No cluster is asked.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import t from 'tap'
import { parse, parseAllDocuments } from 'yaml'
import { z } from 'zod'
import { type FileSystemPort, loadConfig } from '../src/ztunnel/config/config.ts'

const ROOT = resolve(import.meta.dirname, '..')
const FOLDER = join(ROOT, 'deploy/kubernetes')

const variable = z.strictObject({
  name: z.string(),
  value: z.string().optional(),
  valueFrom: z.strictObject({ fieldRef: z.strictObject({ fieldPath: z.string() }) }).optional(),
})
const container = z.looseObject({
  image: z.string(),
  args: z.array(z.string()),
  ports: z.array(z.object({ containerPort: z.number() })),
  env: z.array(variable),
  readinessProbe: z.object({ httpGet: z.object({ port: z.number(), path: z.string() }) }),
  securityContext: z.looseObject({
    privileged: z.literal(false),
    runAsUser: z.number(),
    runAsGroup: z.number(),
    capabilities: z.object({ drop: z.array(z.string()), add: z.array(z.string()) }),
  }),
  volumeMounts: z.array(z.object({ name: z.string(), mountPath: z.string() })),
})
const daemonSet = z.looseObject({
  kind: z.literal('DaemonSet'),
  metadata: z.object({ namespace: z.literal('istio-system'), name: z.literal('ztunnel') }),
  spec: z.looseObject({
    selector: z.object({ matchLabels: z.record(z.string(), z.string()) }),
    template: z.object({
      metadata: z.object({
        labels: z.record(z.string(), z.string()),
        annotations: z.record(z.string(), z.string()),
      }),
      spec: z.looseObject({
        serviceAccountName: z.string(),
        hostNetwork: z.undefined().optional(),
        hostPID: z.undefined().optional(),
        terminationGracePeriodSeconds: z.number(),
        containers: z.tuple([container]),
        volumes: z.array(z.looseObject({ name: z.string() })),
      }),
    }),
  }),
})

const documents = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.yaml'))
  .flatMap((name) => parseAllDocuments(readFileSync(join(FOLDER, name), 'utf8')))
const objects = documents.map((document): { kind: string; metadata: { name: string } } => document.toJS())
const { spec } = daemonSet.parse(objects.find(({ kind }) => kind === 'DaemonSet'))
const { template } = spec
const [proxy] = template.spec.containers
/** What the pod mounts is there, and nothing else. */
const files: FileSystemPort = {
  exists: (path) => path === '/var/run/secrets/istio/root-cert.pem' || mounted(join('/', path)),
  readText: () => '',
}
const env = Object.fromEntries(
  proxy.env.map(({ name, value, valueFrom }) => [name, value ?? `of ${valueFrom?.fieldRef.fieldPath}`]),
)
const config = loadConfig(env, files)

t.test('the YAML is valid, and no name is written twice', (t) => {
  t.ok(documents.length > 0)
  for (const document of documents) t.same([...document.errors, ...document.warnings], [])
  t.same(
    proxy.env.map(({ name }) => name),
    [...new Set(Object.keys(env))],
  )
  t.end()
})

t.test("the proxy takes its environment, without a warning, and has Istio's ports", (t) => {
  t.same(config.warnings, [])
  t.match(config.ports, { stats: 15020, readiness: 15021 })
  t.strictSame(
    proxy.ports.map(({ containerPort }) => containerPort),
    [config.ports.stats],
  )
  t.equal(template.metadata.annotations['prometheus.io/port'], String(config.ports.stats))
  t.strictSame(proxy.readinessProbe.httpGet, { port: config.ports.readiness, path: '/healthz/ready' })
  t.equal(config.proxyMode, 'shared')
  t.strictSame(proxy.args, ['proxy', 'ztunnel'])
  const graceMs = template.spec.terminationGracePeriodSeconds * 1_000
  t.ok(config.drainDeadlineMs < graceMs, 'drained before it is killed')
  t.equal(config.drainDeadlineMs, 25_000, 'by the same grace')
  t.end()
})

t.test('the control plane is istiod, by the token and the root that are mounted', (t) => {
  for (const peer of [config.xds, config.ca]) {
    t.equal(peer?.address, 'https://istiod.istio-system.svc:15012')
    t.match(peer?.roots, { rootCertFile: './var/run/secrets/istio/root-cert.pem' })
  }
  t.match(config.authToken, { kind: 'file', path: './var/run/secrets/tokens/istio-token' })
  t.ok(mounted('/var/run/secrets/tokens/istio-token') && mounted('/var/run/secrets/istio/root-cert.pem'))
  t.ok(mounted(config.inpodUds), "istio-cni's socket")
  for (const { name } of proxy.volumeMounts)
    t.ok(
      template.spec.volumes.some((volume) => volume.name === name),
      `volume ${name}`,
    )
  t.match(volume('cni-ztunnel-sock-dir'), { hostPath: { path: dirname(config.inpodUds) } })
  t.match(volume('istiod-ca-cert'), { configMap: { name: 'istio-ca-root-cert' } })
  const token = { audience: 'istio-ca', path: 'istio-token', expirationSeconds: 43_200 }
  t.match(volume('istio-token'), { projected: { sources: [{ serviceAccountToken: token }] } })
  t.end()
})

t.test('it is who istiod trusts to ask for others', (t) => {
  t.equal(template.spec.serviceAccountName, 'ztunnel')
  t.ok(objects.some(({ kind, metadata }) => kind === 'ServiceAccount' && metadata.name === 'ztunnel'))
  t.match(template.metadata.labels, spec.selector.matchLabels)
  t.equal(template.metadata.labels['istio.io/dataplane-mode'], 'none')
  t.end()
})

t.test('it has the capabilities of the proxy in docker-compose.yml, and no more', (t) => {
  const compose = parse(readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8'), { merge: true })
  const node: { user: string; cap_add: readonly string[] } = compose.services['proxy-a']
  const { capabilities, runAsUser, runAsGroup, ...rest } = proxy.securityContext
  t.strictSame(capabilities, { drop: ['ALL'], add: [...node.cap_add] })
  t.equal(`${runAsUser}:${runAsGroup}`, node.user)
  t.match(rest, { privileged: false, readOnlyRootFilesystem: true })
  t.end()
})

function mounted(path: string): boolean {
  return proxy.volumeMounts.some(({ mountPath }) => path.startsWith(`${mountPath}/`))
}

function volume(name: string): unknown {
  return template.spec.volumes.find((one) => one.name === name)
}
