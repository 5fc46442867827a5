import ipaddr from 'ipaddr.js'
import { z } from 'zod'
import type { EndpointSlice } from './objects-discovery.ts'
import { dnsSubdomain, namespacedMeta, portNumber, transportProtocol } from './schema-common.ts'

const endpoint = z
  .object({
    addresses: z
      .array(z.string({ error: 'expected an address' }), { error: 'expected addresses' })
      .min(1, { error: 'expected at least one address' }),
    conditions: z.object({ ready: z.boolean().nullish() }).nullish(),
    targetRef: z.object({ kind: z.string(), name: z.string() }).nullish(),
  })
  .transform(({ addresses, conditions, targetRef }) => ({
    addresses,
    // The API's default: who does not say, is.
    ready: conditions?.ready ?? true,
    targetRef: targetRef ?? undefined,
  }))

const port = z
  .object({ name: z.string().nullish(), port: portNumber.nullish(), protocol: transportProtocol })
  .transform(({ name, port, protocol }) => ({
    name: name ?? '',
    port: port ?? undefined,
    protocol: protocol ?? ('TCP' as const),
  }))

/** `discovery.k8s.io` EndpointSlice. */
export const endpointSliceSchema = z
  .object({
    metadata: namespacedMeta,
    addressType: z.enum(['IPv4', 'IPv6', 'FQDN'], { error: 'expected IPv4, IPv6 or FQDN' }),
    endpoints: z.array(endpoint).nullish(),
    ports: z.array(port).nullish(),
  })
  .transform(
    ({ metadata, addressType, endpoints, ports }): EndpointSlice => ({
      kind: 'EndpointSlice',
      metadata,
      addressType,
      endpoints: endpoints ?? [],
      ports: ports ?? [],
    }),
  )
  .transform((slice, context): EndpointSlice => {
    const endpoints = slice.endpoints.map((endpoint, index) => ({
      ...endpoint,
      addresses: endpoint.addresses.map((address, at) => {
        const text = canonical(address, slice.addressType)
        if (text !== undefined) return text
        const message = `expected an address of type ${slice.addressType}, got "${address}"`
        context.addIssue({ code: 'custom', path: ['endpoints', index, 'addresses', at], message })
        return address
      }),
    }))
    return { ...slice, endpoints }
  })

function canonical(address: string, type: EndpointSlice['addressType']): string | undefined {
  if (type === 'FQDN') return dnsSubdomain.safeParse(address).success ? address : undefined
  const valid = type === 'IPv4' ? ipaddr.IPv4.isValidFourPartDecimal(address) : ipaddr.IPv6.isValid(address)
  return valid ? ipaddr.process(address).toString() : undefined
}
