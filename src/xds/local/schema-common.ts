import { z } from 'zod'
import { canonicalAddress, isAddress, parseCidr } from '../../mesh/addresses.ts'
import type { GatewayAddress, NetworkAddress, NetworkCidr, Port, ServiceKey } from '../../mesh/model.ts'
import { DEFAULT_HBONE_PORT } from '../decode-fields.ts'

/** Text that may be left out; empty then. */
export const optionalText = z
  .string({ error: 'expected text: put quotes around it' })
  .nullish()
  .transform((value) => value ?? '')

export const filledText = z
  .string({ error: 'expected text: put quotes around it' })
  .min(1, { error: 'expected text that is not empty' })

export const flag = z
  .boolean({ error: 'expected true or false' })
  .nullish()
  .transform((value) => value ?? false)

export const port = z
  .int({ error: 'expected a port number from 1 to 65535' })
  .min(1, { error: 'expected a port number from 1 to 65535' })
  .max(65_535, { error: 'expected a port number from 1 to 65535' })

/** Canonical text of an address of either family. */
export const address = z.string({ error: 'expected an IP address' }).transform((text, context) => {
  if (isAddress(text)) return canonicalAddress(text)
  return refuse(context, `expected an IPv4 or IPv6 address, got "${text}"`)
})

/** A block, host bits cleared. */
export const cidr = z.string({ error: 'expected a CIDR block' }).transform((text, context) => {
  const block = parseCidr(text)
  return block?.text ?? refuse(context, `expected a CIDR block such as 10.0.0.0/8 or fd00::/8, got "${text}"`)
})

/** `network/ip`, the network often empty: `/10.0.0.1`. */
export const networkAddress = z
  .string({ error: 'expected network/ip' })
  .transform((text, context): NetworkAddress => {
    const slash = text.indexOf('/')
    const ip = text.slice(slash + 1)
    if (slash >= 0 && isAddress(ip)) return { network: text.slice(0, slash), address: canonicalAddress(ip) }
    return refuse(
      context,
      `expected network/ip, such as /10.0.0.1 for the network without a name, got "${text}"`,
    )
  })

export const networkCidr = z
  .strictObject({ network: optionalText, cidr })
  .transform((value): NetworkCidr => value)

/** `namespace/hostname`. */
export const serviceKeyText = z.string().transform((text, context): ServiceKey => {
  const parts = text.split('/')
  const [namespace, hostname] = parts
  if (parts.length === 2 && namespace && hostname) return `${namespace}/${hostname}`
  return refuse(context, `expected namespace/hostname, got "${text}"`)
})

/** Fields of a waypoint's or gateway's place; the first decides by its form between an address and a name. */
export const gatewayFields = {
  destination: filledText,
  hboneMtlsPort: port.nullish(),
}

export const gateway = z
  .strictObject(gatewayFields)
  .transform((value, context) => toGateway(value, context))
  .nullish()
  .transform((value) => value ?? undefined)

/** Adds an issue when the destination is neither `network/ip` nor `namespace/hostname`. */
export function toGateway(
  { destination, hboneMtlsPort }: { destination: string; hboneMtlsPort?: number | null | undefined },
  context: z.RefinementCtx,
): GatewayAddress {
  const common = { hboneMtlsPort: hboneMtlsPort ?? DEFAULT_HBONE_PORT }
  const slash = destination.indexOf('/')
  const [before, after] = [destination.slice(0, Math.max(0, slash)), destination.slice(slash + 1)]
  if (slash >= 0 && isAddress(after))
    return { kind: 'address', network: before, address: canonicalAddress(after), ...common }
  if (before !== '' && after !== '' && !after.includes('/'))
    return { kind: 'hostname', namespace: before, hostname: after, ...common }
  return refuse(context, `expected network/ip or namespace/hostname, got "${destination}"`, ['destination'])
}

/** `{80: 8080}`: service port to target port, 0 where only the endpoint knows. */
export const portMap = z
  .record(z.string(), z.int().min(0).max(65_535), { error: 'expected ports, such as {80: 8080}' })
  .transform((map, context): readonly Port[] =>
    Object.entries(map).map(([key, targetPort]) => {
      const parsed = port.safeParse(/^\d+$/.test(key) ? Number(key) : Number.NaN)
      if (!parsed.success) return refuse(context, 'expected a port number from 1 to 65535', [key])
      return { servicePort: parsed.data, targetPort, appProtocol: 'UNKNOWN' }
    }),
  )

/** One of the names that ztunnel's dumps have (`WorkloadSelector`), as the model's (`WORKLOAD_SELECTOR`). */
export function named<Name extends string, Value extends string>(
  names: Readonly<Record<Name, Value>>,
): z.ZodType<Value> {
  const expected = Object.keys(names).join(', ')
  return z.string({ error: `expected one of ${expected}` }).transform((text, context): Value => {
    const found = Object.entries<Value>(names).find(([name]) => name === text)
    return found?.[1] ?? refuse(context, `expected one of ${expected}, got "${text}"`)
  })
}

function refuse(context: z.RefinementCtx, message: string, path: PropertyKey[] = []): never {
  context.addIssue({ code: 'custom', message, path })
  return z.NEVER
}
