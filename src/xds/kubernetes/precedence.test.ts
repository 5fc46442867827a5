import t from 'tap'
import { meshOf, podYaml } from './test-support.ts'

// One row for each rule of which label wins: what stands on the namespace, on the pod and on its annotations, the
// waypoint that the pod's service account has, and what becomes of the pod.

type State = 'uncaptured' | 'captured' | 'own tunnel'

interface Row {
  readonly rule: string
  readonly namespace?: string
  readonly labels?: string
  readonly annotations?: string
  readonly spec?: string
  /** Whether a waypoint of the pod's service account is there. */
  readonly ofAccount?: boolean
  /** `istio.io/waypoint-for` of the waypoints `ns` and `own`. Default `all`. */
  readonly waypointFor?: string
  readonly state: State
  /** Name of the pod's waypoint. Default none. */
  readonly waypoint?: string
}

const AMBIENT = 'istio.io/dataplane-mode: ambient'
const NONE = 'istio.io/dataplane-mode: none'
const INJECT = 'sidecar.istio.io/inject: "true"'
const NS_WAYPOINT = 'istio.io/use-waypoint: ns'

const ROWS: readonly Row[] = [
  { rule: 'nothing said', state: 'uncaptured' },
  { rule: 'the namespace enrols', namespace: AMBIENT, state: 'captured' },
  { rule: 'the pod enrols', labels: AMBIENT, state: 'captured' },
  { rule: 'the pod wins: out', namespace: AMBIENT, labels: NONE, state: 'uncaptured' },
  { rule: 'the pod wins: in', namespace: NONE, labels: AMBIENT, state: 'captured' },
  {
    rule: 'a value that means nothing does not enrol',
    namespace: 'istio.io/dataplane-mode: Ambient',
    state: 'uncaptured',
  },
  { rule: 'a sidecar wins over the namespace', namespace: AMBIENT, labels: INJECT, state: 'uncaptured' },
  { rule: 'a sidecar wins over the pod', labels: `${AMBIENT}, ${INJECT}`, state: 'uncaptured' },
  {
    rule: 'a namespace with sidecars wins over its own label',
    namespace: `${AMBIENT}, istio-injection: enabled`,
    state: 'uncaptured',
  },
  {
    rule: 'a namespace with sidecars wins over the pod’s label',
    namespace: 'istio-injection: enabled',
    labels: AMBIENT,
    state: 'uncaptured',
  },
  {
    rule: 'a pod that refuses the sidecar may be captured',
    namespace: `${AMBIENT}, istio-injection: enabled`,
    labels: 'sidecar.istio.io/inject: "false"',
    state: 'captured',
  },
  {
    rule: 'a namespace that refuses sidecars refuses them to all',
    namespace: `${AMBIENT}, istio-injection: disabled`,
    labels: INJECT,
    state: 'captured',
  },
  {
    rule: 'the annotation of old asks for a sidecar too',
    namespace: AMBIENT,
    annotations: INJECT,
    state: 'uncaptured',
  },
  {
    rule: 'the label wins over the annotation of old',
    namespace: AMBIENT,
    labels: 'sidecar.istio.io/inject: "false"',
    annotations: INJECT,
    state: 'captured',
  },
  {
    rule: 'a sidecar that is there wins',
    namespace: AMBIENT,
    labels: 'sidecar.istio.io/inject: "false"',
    annotations: 'sidecar.istio.io/status: "{}"',
    state: 'uncaptured',
  },
  {
    rule: 'the host’s network is never captured',
    labels: AMBIENT,
    spec: ', hostNetwork: true',
    state: 'uncaptured',
  },
  {
    rule: 'what istio-cni has written down wins',
    annotations: 'ambient.istio.io/redirection: enabled',
    state: 'captured',
  },
  {
    rule: 'and so if it is not done yet',
    namespace: AMBIENT,
    annotations: 'ambient.istio.io/redirection: pending',
    state: 'uncaptured',
  },
  {
    rule: 'a pod that terminates HBONE is not captured',
    namespace: AMBIENT,
    labels: 'networking.istio.io/tunnel: http',
    state: 'own tunnel',
  },
  {
    rule: 'not even with a sidecar',
    namespace: AMBIENT,
    labels: `${INJECT}, networking.istio.io/tunnel: http`,
    state: 'own tunnel',
  },
  {
    rule: 'bypassing inbound capture leaves HBONE as it is',
    namespace: AMBIENT,
    annotations: 'ambient.istio.io/bypass-inbound-capture: "true"',
    state: 'captured',
  },

  {
    rule: 'the namespace has a waypoint',
    namespace: `${AMBIENT}, ${NS_WAYPOINT}`,
    state: 'captured',
    waypoint: 'ns',
  },
  { rule: 'a waypoint needs no capture', namespace: NS_WAYPOINT, state: 'uncaptured', waypoint: 'ns' },
  {
    rule: 'the account’s waypoint wins over the namespace’s',
    namespace: NS_WAYPOINT,
    ofAccount: true,
    state: 'uncaptured',
    waypoint: 'sa',
  },
  { rule: 'the account’s waypoint needs no label', ofAccount: true, state: 'uncaptured', waypoint: 'sa' },
  {
    rule: 'a namespace without waypoint does not take the account’s',
    namespace: 'istio.io/use-waypoint: none',
    ofAccount: true,
    state: 'uncaptured',
    waypoint: 'sa',
  },
  {
    rule: 'the pod’s word wins over both',
    namespace: NS_WAYPOINT,
    labels: 'istio.io/use-waypoint: own',
    ofAccount: true,
    state: 'uncaptured',
    waypoint: 'own',
  },
  {
    rule: 'and if it is none',
    namespace: NS_WAYPOINT,
    labels: 'istio.io/use-waypoint: none',
    ofAccount: true,
    state: 'uncaptured',
  },
  {
    rule: 'the pod’s own label without its namespace label means the pod’s namespace',
    namespace: `${NS_WAYPOINT}, istio.io/use-waypoint-namespace: elsewhere`,
    labels: 'istio.io/use-waypoint: own',
    state: 'uncaptured',
    waypoint: 'own',
  },
  {
    rule: 'a waypoint that is not there is not made up for by the namespace’s',
    namespace: NS_WAYPOINT,
    labels: 'istio.io/use-waypoint: gone',
    ofAccount: true,
    state: 'uncaptured',
  },
  {
    rule: 'a waypoint for services serves no pods',
    namespace: NS_WAYPOINT,
    waypointFor: 'service',
    state: 'uncaptured',
  },
  {
    rule: 'one for workloads does',
    namespace: NS_WAYPOINT,
    waypointFor: 'workload',
    state: 'uncaptured',
    waypoint: 'ns',
  },
  { rule: 'one for nothing serves nobody', namespace: NS_WAYPOINT, waypointFor: 'none', state: 'uncaptured' },
  {
    rule: 'a waypoint’s own pods have none',
    namespace: NS_WAYPOINT,
    labels: 'gateway.networking.k8s.io/gateway-name: ns, istio.io/use-waypoint: own',
    ofAccount: true,
    state: 'uncaptured',
  },
]

for (const row of ROWS) {
  t.test(row.rule, async (t) => {
    const { workloads } = meshOf(yamlOf(row))
    const [workload] = workloads
    const { tunnelProtocol, nativeTunnel, waypoint } = workload ?? {}
    const state: State = nativeTunnel ? 'own tunnel' : tunnelProtocol === 'HBONE' ? 'captured' : 'uncaptured'
    t.equal(state, row.state)
    t.equal(waypoint?.kind === 'hostname' ? waypoint.hostname : undefined, row.waypoint)
  })
}

function yamlOf(row: Row): string {
  const waypointFor = `labels: {istio.io/waypoint-for: ${row.waypointFor ?? 'all'}}`
  const gateways = [gateway('ns', waypointFor), gateway('own', waypointFor)]
  if (row.ofAccount) gateways.push(gateway('sa', 'annotations: {istio.io/for-service-account: a}'))
  const namespace = `---
apiVersion: v1
kind: Namespace
metadata: {name: foo, labels: {${row.namespace ?? ''}}}
`
  const pod = podYaml('a', row.spec, row.annotations && `, annotations: {${row.annotations}}`)
  return namespace + gateways.join('') + pod.replace('{app: a}', `{${row.labels ?? ''}}`)
}

function gateway(name: string, metadata: string): string {
  return `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: ${name}, namespace: foo, ${metadata}}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
status: {addresses: [{type: Hostname, value: ${name}}]}
`
}
