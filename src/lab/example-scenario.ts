import { LabError } from './errors.ts'
import type { Example } from './example.ts'
import type { ExampleConnection } from './example-file.ts'
import { nodeProxyName, sidecarName } from './processes.ts'
import type { Expectation, Scenario } from './scenario.ts'
import type { LabPod, Topology } from './topology.ts'

/**
 * An example's connections as the lab makes them. The file says what policies
 * decide; how a connection travels and who proves what follows from how its
 * ends take part in the mesh. Throws LabError `bad-example` for a client or a
 * server that the mesh does not have.
 */
export function scenariosOf({ name, file, connections }: Example, topology: Topology): readonly Scenario[] {
  return connections.map((connection, index): Scenario => {
    const { from, to, port, family, verdict, policy, dryRun, why, line } = connection
    const refuse = (message: string): never => {
      throw new LabError('bad-example', `${file}:${line}: ${message}`)
    }
    const client = podOf(topology, from) ?? refuse(`from: the mesh has no pod ${from}`)
    const server = podOf(topology, to)
    if (server === undefined && to !== topology.outside.name) refuse(`to: the mesh has no pod ${to}`)
    if (server !== undefined && server.ports[port] === undefined)
      refuse(`to: ${to} has no port named ${port}`)
    return {
      id: `${name}-${index + 1}`,
      title: why,
      from,
      target: {
        to,
        port,
        by: connection.by ?? addressed(connection, client, topology),
        ...(family === undefined ? {} : { family }),
      },
      traffic: port === 'http' ? { kind: 'http' } : { kind: 'half-close', bytes: TCP_BYTES },
      expected: { verdict, policy, dryRun, ...pathBetween(client, server) },
    }
  })
}

/** A client outside of the mesh has nobody to make a pod out of a service: the lab has no kube-proxy. */
function addressed({ to }: ExampleConnection, client: LabPod, { services }: Topology): 'service' | 'pod' {
  const hasService = services.some(({ namespace, name }) => `${namespace}/${name}` === to)
  return hasService && client.mode !== 'plain' ? 'service' : 'pod'
}

/** Tunnel or plain TCP, through which proxies, with which proofs. */
function pathBetween(
  client: LabPod,
  server: LabPod | undefined,
): Pick<Expectation, 'wire' | 'hops' | 'client' | 'server'> {
  const hops = [client, server].flatMap((pod) => (pod === undefined ? [] : proxyOf(pod)))
  const tunnel = client.mode !== 'plain' && server !== undefined && takesTunnels(server)
  return {
    wire: tunnel ? 'HBONE' : 'plain',
    hops,
    client: tunnel ? spiffeId(client) : undefined,
    server: tunnel ? spiffeId(server) : undefined,
  }
}

function takesTunnels({ mode, nativeTunnel }: LabPod): boolean {
  return mode === 'ambient' || (mode === 'sidecar' && nativeTunnel)
}

function proxyOf(pod: LabPod): readonly string[] {
  if (pod.mode === 'plain') return []
  return [pod.mode === 'sidecar' ? sidecarName(pod) : nodeProxyName(pod.node)]
}

function podOf({ pods }: Topology, name: string): LabPod | undefined {
  return pods.find(({ id }) => id === name)
}

function spiffeId({ namespace, serviceAccount }: LabPod): string {
  return `spiffe://cluster.local/ns/${namespace}/sa/${serviceAccount}`
}

/** Enough to have a payload behind the greeting; how much can be carried is not what an example shows. */
const TCP_BYTES = 1_000
