import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { TokenIssuer } from '../../src/identity/index.ts'
import { ztunnelProgram } from '../../src/lab/app.ts'
import { Component } from '../../src/lab/component.ts'
import { httpGetIn, untilHealthy } from '../../src/lab/http-probe.ts'
import type { MeshLab } from '../../src/lab/mesh-lab.ts'

/** A waypoint beside a lab, in the namespace of the pod that the manifests name it. */
export interface WaypointProcess extends AsyncDisposable {
  readonly component: Component
  /** Lines of its log, as JSON. */
  lines(): readonly Readonly<Record<string, unknown>>[]
  /** A question to its admin port, or another one. */
  ask(path: string, port?: number): Promise<string>
}

/** Starts `ztunnel waypoint` in a pod's namespace; resolves when it is ready. */
export async function startWaypointProcess(
  lab: MeshLab,
  pod: string,
  env: Readonly<Record<string, string>> = {},
): Promise<WaypointProcess> {
  const found = lab.topology.pods.find(({ id }) => id === pod)
  if (found === undefined) throw new Error(`the lab has no pod ${pod}`)
  const { state, topology, network } = lab
  const namespace = network.namespace(found.netns)
  const issuer = await TokenIssuer.loadOrCreate(join(state.certs, 'token-key.pem'))
  const { serviceAccount, node } = found
  const token = join(state.tokens, `waypoint-${found.netns}`)
  const request = { namespace: found.namespace, serviceAccount, pod: found.name, node, ttlSeconds: 3600 }
  writeFileSync(token, await issuer.issueWorkloadToken(request), { mode: 0o600 })
  const controlPlane = `https://${topology.controlPlane.address}:15012`
  const root = join(state.certs, 'root-cert.pem')
  const lines: Record<string, unknown>[] = []
  const name = `waypoint@${pod}`
  const component = Component.start({
    name,
    namespace,
    argv: [ztunnelProgram(), 'waypoint'],
    logFile: join(state.logs, `${name.replaceAll('/', '.')}.log`),
    onLine: (line) => {
      if (line.startsWith('{')) lines.push(JSON.parse(line) as Record<string, unknown>)
    },
    env: {
      LOG_FORMAT: 'json',
      POD_NAME: found.name,
      POD_NAMESPACE: found.namespace,
      SERVICE_ACCOUNT: serviceAccount,
      INSTANCE_IP: found.address,
      NODE_NAME: node,
      XDS_ADDRESS: controlPlane,
      CA_ADDRESS: controlPlane,
      XDS_ROOT_CA: root,
      CA_ROOT_CA: root,
      AUTH_TOKEN: token,
      ...env,
    },
  })
  const abort = new AbortController()
  try {
    const health = { namespace, port: 15021, path: '/healthz/ready', host: '127.0.0.1' }
    const ready = untilHealthy({ ...health, signal: abort.signal, onUnhealthy: () => {} })
    await component.within(ready, 'become ready')
  } catch (error) {
    await component.stop()
    throw error
  } finally {
    abort.abort()
  }
  return {
    component,
    lines: () => lines,
    ask: async (path, port = 15000) => (await httpGetIn(namespace, port, path)).body,
    [Symbol.asyncDispose]: () => component.stop(),
  }
}
