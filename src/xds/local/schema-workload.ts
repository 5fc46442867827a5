import { z } from 'zod'
import type { Port, ServiceKey, Workload } from '../../mesh/model.ts'
import { DEFAULT_CLUSTER, DEFAULT_SERVICE_ACCOUNT, DEFAULT_TRUST_DOMAIN } from '../decode-workload.ts'
import {
  address,
  filledText,
  flag,
  gateway,
  named,
  optionalText,
  port,
  portMap,
  serviceKeyText,
} from './schema-common.ts'

const applicationTunnel = z
  .strictObject({ protocol: named({ NONE: 'NONE', PROXY: 'PROXY' }), port: port.nullish() })
  .transform((tunnel): Workload['applicationTunnel'] => ({
    protocol: tunnel.protocol,
    port: tunnel.port ?? undefined,
  }))

const locality = z
  .strictObject({ region: optionalText, zone: optionalText, subzone: optionalText })
  .nullish()
  .transform((value) => value ?? { region: '', zone: '', subzone: '' })

const services = z
  .record(z.string(), portMap)
  .nullish()
  .transform((map, context): ReadonlyMap<ServiceKey, readonly Port[]> => {
    const found = new Map<ServiceKey, readonly Port[]>()
    for (const [key, ports] of Object.entries(map ?? {})) {
      const parsed = serviceKeyText.safeParse(key)
      if (parsed.success) found.set(parsed.data, ports)
      else
        context.addIssue({
          code: 'custom',
          path: [key],
          message: `expected namespace/hostname, got "${key}"`,
        })
    }
    return found
  })

/** A workload as ztunnel's config dump shows it, with its services and their ports (wire/ztunnel 2.7). */
export const workloadSchema = z
  .strictObject({
    workloadIps: z.array(address, { error: 'expected a list of addresses' }),
    namespace: filledText,
    uid: optionalText,
    name: optionalText,
    serviceAccount: optionalText,
    trustDomain: optionalText,
    hostname: optionalText,
    network: optionalText,
    node: optionalText,
    clusterId: optionalText,
    protocol: named({ HBONE: 'HBONE', TCP: 'NONE' }).nullish(),
    nativeTunnel: flag,
    applicationTunnel: applicationTunnel.nullish(),
    waypoint: gateway,
    networkGateway: gateway,
    networkMode: named({ Standard: 'STANDARD', HostNetwork: 'HOST_NETWORK' }).nullish(),
    workloadName: optionalText,
    workloadType: named({ deployment: 'DEPLOYMENT', cronjob: 'CRONJOB', pod: 'POD', job: 'JOB' }).nullish(),
    canonicalName: optionalText,
    canonicalRevision: optionalText,
    services,
    authorizationPolicies: z.array(z.string()).nullish(),
    status: named({ Healthy: 'HEALTHY', Unhealthy: 'UNHEALTHY' }).nullish(),
    locality,
    capacity: z.int().min(0).max(4_294_967_295).nullish(),
  })
  .transform(
    (raw): Workload => ({
      uid: raw.uid || `local//${raw.namespace}/${raw.name || raw.workloadIps[0] || raw.hostname}`,
      name: raw.name,
      namespace: raw.namespace,
      serviceAccount: raw.serviceAccount || DEFAULT_SERVICE_ACCOUNT,
      trustDomain: raw.trustDomain || DEFAULT_TRUST_DOMAIN,
      addresses: raw.workloadIps,
      hostname: raw.hostname,
      network: raw.network,
      node: raw.node,
      clusterId: raw.clusterId || DEFAULT_CLUSTER,
      tunnelProtocol: raw.protocol ?? 'NONE',
      nativeTunnel: raw.nativeTunnel,
      applicationTunnel: raw.applicationTunnel ?? undefined,
      waypoint: raw.waypoint,
      networkGateway: raw.networkGateway,
      networkMode: raw.networkMode ?? 'STANDARD',
      workloadName: raw.workloadName,
      workloadType: raw.workloadType ?? 'DEPLOYMENT',
      canonicalName: raw.canonicalName,
      canonicalRevision: raw.canonicalRevision,
      services: raw.services,
      authorizationPolicies: raw.authorizationPolicies ?? [],
      status: raw.status ?? 'HEALTHY',
      locality: raw.locality,
      capacity: raw.capacity ?? 1,
    }),
  )
