import { z } from 'zod'
import type { ReferenceGrant, TcpRouteObject, WeightedBackend } from './objects-route.ts'
import { dnsLabel, namespacedMeta } from './schema-common.ts'
import { backendFields, listOf, parentRefs, toBackend, weight } from './schema-route-common.ts'

const backend = z
  .strictObject({ ...backendFields, weight })
  .transform((raw): WeightedBackend => ({ reference: toBackend(raw), weight: raw.weight, filters: [] }))

const rule = z
  .strictObject({ name: z.string().nullish(), backendRefs: listOf(backend, 16) })
  .transform(({ name, backendRefs }) => ({ name: name ?? undefined, backends: backendRefs }))

/** `gateway.networking.k8s.io` TCPRoute. */
export const tcpRouteSchema = z
  .object({
    metadata: namespacedMeta,
    spec: z.strictObject(
      { parentRefs, rules: listOf(rule, 16), useDefaultGateways: z.unknown().optional() },
      { error: 'expected a route spec' },
    ),
  })
  .transform(
    ({ metadata, spec: { parentRefs, rules } }): TcpRouteObject => ({
      kind: 'TCPRoute',
      metadata,
      spec: { parentRefs, rules },
    }),
  )

const grantFrom = z.strictObject({ group: z.string(), kind: z.string().min(1), namespace: dnsLabel })

const grantTo = z
  .strictObject({ group: z.string(), kind: z.string().min(1), name: z.string().nullish() })
  .transform(({ group, kind, name }) => ({ group, kind, name: name || undefined }))

/** `gateway.networking.k8s.io` ReferenceGrant. */
export const referenceGrantSchema = z
  .object({
    metadata: namespacedMeta,
    spec: z.strictObject(
      { from: listOf(grantFrom, 16), to: listOf(grantTo, 16) },
      { error: 'expected a grant spec' },
    ),
  })
  .transform(({ metadata, spec }): ReferenceGrant => ({ kind: 'ReferenceGrant', metadata, spec }))
