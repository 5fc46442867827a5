import { z } from 'zod'
import type { ContainerPort, Namespace, Pod, Service } from './objects.ts'
import {
  clusterMeta,
  dnsSubdomain,
  ipAddress,
  namespacedMeta,
  portNumber,
  stringMap,
  transportProtocol,
} from './schema-common.ts'

const containerPort = z
  .object({ name: z.string().nullish(), containerPort: portNumber, protocol: transportProtocol })
  .transform(
    (port): ContainerPort => ({
      name: port.name ?? undefined,
      containerPort: port.containerPort,
      protocol: port.protocol ?? 'TCP',
    }),
  )

const container = z.object({ ports: z.array(containerPort).nullish(), restartPolicy: z.string().nullish() })

const condition = z.object({
  type: z.string(),
  status: z.enum(['True', 'False', 'Unknown'], { error: 'expected "True", "False" or "Unknown" in quotes' }),
})

const podSpec = z.object(
  {
    nodeName: dnsSubdomain.nullish(),
    serviceAccountName: dnsSubdomain.nullish(),
    // The name of old, which the API server still copies.
    serviceAccount: dnsSubdomain.nullish(),
    hostNetwork: z.boolean().nullish(),
    containers: z.array(container).nullish(),
    initContainers: z.array(container).nullish(),
  },
  { error: 'expected a pod spec' },
)

const podStatus = z
  .object({
    phase: z.enum(['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown']).nullish(),
    podIP: ipAddress.nullish(),
    podIPs: z.array(z.object({ ip: ipAddress })).nullish(),
    conditions: z.array(condition).nullish(),
  })
  .nullish()

/** `v1` Namespace. */
export const namespaceSchema = z
  .object({ metadata: clusterMeta })
  .transform(({ metadata }): Namespace => ({ kind: 'Namespace', metadata }))

/** `v1` Pod. */
export const podSchema = z
  .object({ metadata: namespacedMeta, spec: podSpec, status: podStatus })
  .transform(({ metadata, spec, status }): Pod => {
    // Only an init container that keeps running (a "native sidecar") can be reached.
    const running = (spec.initContainers ?? []).filter((init) => init.restartPolicy === 'Always')
    const podIPs = status?.podIPs?.map(({ ip }) => ip) ?? []
    if (podIPs.length === 0 && status?.podIP) podIPs.push(status.podIP)
    return {
      kind: 'Pod',
      metadata,
      spec: {
        nodeName: spec.nodeName ?? '',
        serviceAccountName: spec.serviceAccountName ?? spec.serviceAccount ?? 'default',
        hostNetwork: spec.hostNetwork ?? false,
        ports: [...(spec.containers ?? []), ...running].flatMap(({ ports }) => ports ?? []),
      },
      status: { phase: status?.phase ?? undefined, podIPs, conditions: status?.conditions ?? undefined },
    }
  })

const servicePort = z
  .object({
    name: z.string().nullish(),
    port: portNumber,
    targetPort: z
      .union([portNumber, z.string().min(1)], { error: 'expected a port number or a port name' })
      .nullish(),
    protocol: transportProtocol,
    appProtocol: z.string().nullish(),
  })
  .transform((port) => ({
    name: port.name ?? '',
    port: port.port,
    targetPort: port.targetPort ?? port.port,
    protocol: port.protocol ?? ('TCP' as const),
    appProtocol: port.appProtocol ?? undefined,
  }))

const clusterIp = z.union([z.literal(''), z.literal('None'), ipAddress], {
  error: 'expected an IP address or "None"',
})

const serviceSpec = z
  .object({
    type: z.enum(['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName']).nullish(),
    clusterIP: clusterIp.nullish(),
    clusterIPs: z.array(clusterIp).nullish(),
    selector: stringMap,
    ports: z.array(servicePort).nullish(),
    ipFamilies: z.array(z.enum(['IPv4', 'IPv6'])).nullish(),
    internalTrafficPolicy: z.enum(['Cluster', 'Local']).nullish(),
    trafficDistribution: z.string().nullish(),
    publishNotReadyAddresses: z.boolean().nullish(),
  })
  .transform((spec): Service['spec'] => {
    const given = spec.clusterIPs && spec.clusterIPs.length > 0 ? spec.clusterIPs : [spec.clusterIP ?? '']
    return {
      type: spec.type ?? 'ClusterIP',
      clusterIPs: given.filter((ip) => ip !== '' && ip !== 'None'),
      headless: given.includes('None'),
      selector: spec.selector,
      ports: spec.ports ?? [],
      ipFamilies: spec.ipFamilies ?? [],
      internalTrafficPolicy: spec.internalTrafficPolicy ?? 'Cluster',
      trafficDistribution: spec.trafficDistribution ?? undefined,
      publishNotReadyAddresses: spec.publishNotReadyAddresses ?? false,
    }
  })

/** `v1` Service. */
export const serviceSchema = z
  .object({ metadata: namespacedMeta, spec: serviceSpec })
  .transform(({ metadata, spec }): Service => ({ kind: 'Service', metadata, spec }))
