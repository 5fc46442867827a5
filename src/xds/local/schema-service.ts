import { z } from 'zod'
import { parseSpiffeId } from '../../identity/spiffe-id.ts'
import type { Port, Service } from '../../mesh/model.ts'
import {
  filledText,
  flag,
  gateway,
  gatewayFields,
  named,
  networkAddress,
  networkCidr,
  portMap,
  toGateway,
} from './schema-common.ts'

/** An endpoint that a dumped service lists; it says the same as its workload's own `services`. */
export interface ServiceEndpoint {
  readonly workloadUid: string
  readonly ports: readonly Port[]
}

export interface LocalService {
  readonly service: Service
  readonly endpoints: readonly ServiceEndpoint[]
}

const STANDARD: Service['loadBalancing'] = {
  routingPreference: [],
  mode: 'STANDARD',
  healthPolicy: 'ONLY_HEALTHY',
}

const loadBalancer = z
  .strictObject({
    mode: named({
      Standard: 'STANDARD',
      Strict: 'STRICT',
      Failover: 'FAILOVER',
      Passthrough: 'PASSTHROUGH',
    }).nullish(),
    routingPreferences: z
      .array(
        named({
          Region: 'REGION',
          Zone: 'ZONE',
          Subzone: 'SUBZONE',
          Node: 'NODE',
          Cluster: 'CLUSTER',
          Network: 'NETWORK',
        }),
      )
      .nullish(),
    healthPolicy: named({ OnlyHealthy: 'ONLY_HEALTHY', AllowAll: 'ALLOW_ALL' }).nullish(),
  })
  .transform((raw): Service['loadBalancing'] => ({
    routingPreference: raw.routingPreferences ?? [],
    mode: raw.mode ?? 'STANDARD',
    healthPolicy: raw.healthPolicy ?? 'ONLY_HEALTHY',
  }))

const weightedWaypoint = z
  .strictObject({ ...gatewayFields, weight: z.int().min(0).max(4_294_967_295) })
  .transform(({ weight, ...place }, context) => ({ destination: toGateway(place, context), weight }))

const endpoint = z.strictObject({
  workloadUid: filledText,
  service: z.string().nullish(),
  port: portMap.nullish(),
  status: named({ Healthy: 'HEALTHY', Unhealthy: 'UNHEALTHY' }).nullish(),
})

const subjectAltName = z.string().refine((text) => parseSpiffeId(text) !== undefined, {
  error: 'expected a SPIFFE id: spiffe://trust-domain/ns/namespace/sa/service-account',
})

/** A service as ztunnel's config dump shows it (wire/ztunnel 2.7). */
export const serviceSchema = z
  .strictObject({
    name: filledText,
    namespace: filledText,
    hostname: filledText,
    vips: z.array(networkAddress).nullish(),
    cidrVips: z.array(networkCidr).nullish(),
    ports: portMap.nullish(),
    endpoints: z.record(z.string(), endpoint).nullish(),
    subjectAltNames: z.array(subjectAltName).nullish(),
    waypoint: gateway,
    weightedWaypoints: z.array(weightedWaypoint).nullish(),
    loadBalancer: loadBalancer.nullish(),
    ipFamilies: named({ IPv4: 'IPV4_ONLY', IPv6: 'IPV6_ONLY', Dual: 'DUAL' }).nullish(),
    canonical: flag,
    visibility: named({ Public: 'PUBLIC', Namespace: 'NAMESPACE' }).nullish(),
  })
  .transform(
    (raw): LocalService => ({
      service: {
        name: raw.name,
        namespace: raw.namespace,
        hostname: raw.hostname,
        addresses: raw.vips ?? [],
        cidrs: raw.cidrVips ?? [],
        ports: raw.ports ?? [],
        subjectAltNames: raw.subjectAltNames ?? [],
        waypoint: raw.waypoint,
        weightedWaypoints: raw.weightedWaypoints ?? [],
        loadBalancing: raw.loadBalancer ?? STANDARD,
        ipFamilies: raw.ipFamilies ?? 'AUTOMATIC',
        canonical: raw.canonical,
        visibility: raw.visibility ?? 'PUBLIC',
      },
      endpoints: Object.values(raw.endpoints ?? {}).map(({ workloadUid, port }) => ({
        workloadUid,
        ports: port ?? [],
      })),
    }),
  )
