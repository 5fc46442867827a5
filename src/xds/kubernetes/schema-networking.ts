import ipaddr from 'ipaddr.js'
import { z } from 'zod'
import type { EndpointSpec, ServiceEntry, WorkloadEntry } from './objects-networking.ts'
import { dnsSubdomain, ipAddress, namespacedMeta, portNumber, stringMap } from './schema-common.ts'

// Unknown fields of a spec are refused: a mistyped selector or address would
// send traffic elsewhere than its author meant.

const host = z
  .string()
  .transform((text) => text.toLowerCase())
  .pipe(
    z
      .string()
      .refine((text) => !text.includes('*'), {
        error:
          'wildcard hosts are not served here, they need a waypoint that resolves each name: list the hosts',
        abort: true,
      })
      .pipe(dnsSubdomain),
  )

const addressOrHost = z.string().transform((text, context) => {
  if (ipAddress.safeParse(text).success) return ipaddr.process(text).toString()
  const name = text.toLowerCase()
  if (dnsSubdomain.safeParse(name).success && !/^[\d.]+$/.test(name)) return name
  context.addIssue({
    code: 'custom',
    message: `expected an IP address or a hostname, got "${text}"; Unix sockets are not served here`,
  })
  return z.NEVER
})

const addressOrBlock = z.string().transform((text, context) => {
  if (ipAddress.safeParse(text).success) return ipaddr.process(text).toString()
  const [address = '', length = ''] = text.split('/')
  if (ipAddress.safeParse(address).success && /^\d+$/.test(length) && ipaddr.isValidCIDR(text)) {
    const parser = address.includes(':') ? ipaddr.IPv6 : ipaddr.IPv4
    return `${parser.networkAddressFromCIDR(text).toString()}/${Number(length)}`
  }
  context.addIssue({
    code: 'custom',
    message: `expected an IP address or a CIDR block such as 10.0.0.0/8, got "${text}"`,
  })
  return z.NEVER
})

const endpointFields = {
  address: addressOrHost.optional(),
  ports: z.record(z.string(), portNumber).nullish(),
  labels: stringMap,
  network: z.string().nullish(),
  locality: z.string().nullish(),
  weight: z.int().min(0).max(0xffff_ffff).nullish(),
  serviceAccount: z.union([z.literal(''), dnsSubdomain]).nullish(),
}

const endpoint = z
  .strictObject(endpointFields, { error: 'expected an endpoint with an address' })
  .transform((given, context): EndpointSpec => {
    if (given.address === undefined) {
      const message = 'expected an IP address or a hostname; a network alone is not served here'
      context.addIssue({ code: 'custom', path: ['address'], message })
      return z.NEVER
    }
    return {
      address: given.address,
      ports: new Map(Object.entries(given.ports ?? {})),
      labels: given.labels,
      network: given.network ?? '',
      locality: given.locality ?? '',
      // Zero is the API's "not set".
      weight: given.weight || 1,
      serviceAccount: given.serviceAccount ?? '',
    }
  })

const port = z
  .strictObject({
    number: portNumber,
    name: z.string({ error: 'expected a name' }).min(1, { error: 'expected a name' }),
    protocol: z.string().nullish(),
    targetPort: z.union([z.literal(0), portNumber]).nullish(),
  })
  .transform(({ number, name, protocol, targetPort }) => ({
    number,
    name,
    protocol: (protocol ?? 'TCP').toUpperCase(),
    targetPort: targetPort || number,
  }))

const serviceEntrySpec = z
  .strictObject({
    hosts: z.array(host, { error: 'expected hosts' }).min(1, { error: 'expected at least one host' }),
    addresses: z.array(addressOrBlock).nullish(),
    ports: z.array(port).nullish(),
    location: z.enum(['MESH_EXTERNAL', 'MESH_INTERNAL']).nullish(),
    resolution: z
      .enum(['NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS'], {
        error: 'expected NONE, STATIC, DNS, DNS_ROUND_ROBIN or DYNAMIC_DNS',
      })
      .nullish(),
    endpoints: z.array(endpoint).nullish(),
    workloadSelector: z.strictObject({ labels: stringMap }).nullish(),
    exportTo: z.array(z.string()).nullish(),
    subjectAltNames: z.array(z.string()).nullish(),
  })
  .transform((spec): ServiceEntry['spec'] => ({
    hosts: [...new Set(spec.hosts)],
    addresses: spec.addresses ?? [],
    ports: spec.ports ?? [],
    resolution: spec.resolution ?? 'NONE',
    endpoints: spec.endpoints ?? [],
    workloadSelector: spec.workloadSelector?.labels,
    subjectAltNames: spec.subjectAltNames ?? [],
  }))
  .superRefine(checkEndpoints)

/** `networking.istio.io` ServiceEntry. */
export const serviceEntrySchema = z
  .object({
    metadata: namespacedMeta,
    spec: serviceEntrySpec,
    status: z
      .object({
        addresses: z.array(z.object({ value: ipAddress, host: z.string().nullish() })).nullish(),
      })
      .nullish(),
  })
  .transform(
    ({ metadata, spec, status }): ServiceEntry => ({
      kind: 'ServiceEntry',
      metadata,
      spec,
      status: {
        addresses: (status?.addresses ?? []).map(({ value, host }) => ({ value, host: host ?? undefined })),
      },
    }),
  )

/** `networking.istio.io` WorkloadEntry. */
export const workloadEntrySchema = z.object({ metadata: namespacedMeta, spec: endpoint }).transform(
  ({ metadata, spec }): WorkloadEntry => ({
    kind: 'WorkloadEntry',
    metadata: { ...metadata, labels: { ...spec.labels, ...metadata.labels } },
    spec,
  }),
)

function checkEndpoints(spec: ServiceEntry['spec'], context: z.RefinementCtx): void {
  const issue = (path: PropertyKey[], message: string) => context.addIssue({ code: 'custom', path, message })
  const { endpoints, resolution, workloadSelector } = spec
  if (endpoints.length > 0 && workloadSelector !== undefined)
    issue(['workloadSelector'], 'cannot be combined with endpoints: leave one of them out')
  if (resolution === 'NONE' && endpoints.length > 0)
    issue(['endpoints'], 'cannot be used with resolution NONE, which goes to the address dialled')
  if (resolution !== 'STATIC') return
  for (const [index, { address }] of endpoints.entries()) {
    if (ipaddr.isValid(address)) continue
    issue(['endpoints', index, 'address'], `resolution STATIC expects an IP address, got "${address}"`)
  }
}
