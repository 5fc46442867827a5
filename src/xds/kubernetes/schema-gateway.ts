import ipaddr from 'ipaddr.js'
import { z } from 'zod'
import type { AllowedNamespaces, Gateway, GatewayListener } from './objects-gateway.ts'
import { dnsSubdomain, namespacedMeta, portNumber, stringMap } from './schema-common.ts'

const labelExpression = z
  .strictObject({
    key: z.string().min(1),
    operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist'], {
      error: 'expected In, NotIn, Exists or DoesNotExist',
    }),
    values: z.array(z.string()).nullish(),
  })
  .transform(({ key, operator, values }) => ({ key, operator, values: values ?? [] }))

const labelSelector = z
  .strictObject({ matchLabels: stringMap, matchExpressions: z.array(labelExpression).nullish() })
  .transform(({ matchLabels, matchExpressions }) => ({
    matchLabels,
    matchExpressions: matchExpressions ?? [],
  }))

const allowedNamespaces = z
  .strictObject({
    from: z
      .enum(['Same', 'All', 'None', 'Selector'], { error: 'expected Same, All, Selector or None' })
      .nullish(),
    selector: labelSelector.nullish(),
  })
  .nullish()
  .transform((given, context): AllowedNamespaces => {
    const from = given?.from ?? 'Same'
    if (from !== 'Selector') return { from }
    if (given?.selector) return { from, selector: given.selector }
    context.addIssue({
      code: 'custom',
      path: ['selector'],
      message: 'expected a selector: "from" asks for it',
    })
    return z.NEVER
  })

const listener = z
  .object({
    name: z.string().nullish(),
    port: portNumber,
    protocol: z.string({ error: 'expected a protocol, HBONE for a waypoint' }),
    allowedRoutes: z.object({ namespaces: allowedNamespaces }).nullish(),
  })
  .transform(
    ({ name, port, protocol, allowedRoutes }): GatewayListener => ({
      name: name ?? '',
      port,
      protocol,
      allowedNamespaces: allowedRoutes?.namespaces ?? { from: 'Same' },
    }),
  )

const statusAddress = z
  .object({ type: z.string().nullish(), value: z.string() })
  .transform(({ type, value }, context) => {
    if (type === 'Hostname') {
      if (dnsSubdomain.safeParse(value).success) return { type, value } as const
      context.addIssue({ code: 'custom', path: ['value'], message: `expected a hostname, got "${value}"` })
      return z.NEVER
    }
    if ((type ?? 'IPAddress') !== 'IPAddress') {
      context.addIssue({ code: 'custom', path: ['type'], message: 'expected IPAddress or Hostname' })
      return z.NEVER
    }
    if (ipaddr.isValid(value)) return { type: 'IPAddress', value: ipaddr.process(value).toString() } as const
    context.addIssue({ code: 'custom', path: ['value'], message: `expected an IP address, got "${value}"` })
    return z.NEVER
  })

/** `gateway.networking.k8s.io` Gateway. */
export const gatewaySchema = z
  .object({
    metadata: namespacedMeta,
    spec: z.object(
      {
        gatewayClassName: z.string({ error: 'expected a class, istio-waypoint for a waypoint' }),
        listeners: z.array(listener).nullish(),
      },
      { error: 'expected a gateway spec' },
    ),
    status: z.object({ addresses: z.array(statusAddress).nullish() }).nullish(),
  })
  .transform(
    ({ metadata, spec, status }): Gateway => ({
      kind: 'Gateway',
      metadata,
      spec: { gatewayClassName: spec.gatewayClassName, listeners: spec.listeners ?? [] },
      status: { addresses: status?.addresses ?? [] },
    }),
  )
