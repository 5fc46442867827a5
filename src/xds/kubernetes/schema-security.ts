import { z } from 'zod'
import { parseCidr } from '../../mesh/addresses.ts'
import { isPathTemplate, parsePathTemplate } from '../../mesh/http/path-template.ts'
import type {
  AuthorizationPolicy,
  MutualTlsMode,
  PeerAuthentication,
  PolicyCondition,
  PolicySource,
  TargetReference,
} from './objects.ts'
import { dnsSubdomain, namespacedMeta } from './schema-common.ts'

// Unknown fields are refused throughout: a mistyped field of a policy would
// otherwise silently allow what it was meant to deny.

const values = z
  .array(
    z
      .string({ error: 'expected text: put quotes around it' })
      .min(1, { error: 'expected text that is not empty' }),
  )
  .min(1, { error: 'expected at least one value; leave the field out to match anything' })
  .optional()

const ipBlocks = z
  .array(z.string().refine(isIpBlock, { error: 'expected an IP address or a CIDR block such as 10.0.0.0/8' }))
  .min(1, { error: 'expected at least one IP block; leave the field out to match anything' })
  .optional()

const ports = z
  .array(
    z
      .string({ error: 'expected a port number in quotes, such as "8080"' })
      .refine(isPort, { error: 'expected a port number from 1 to 65535 in quotes' }),
  )
  .min(1, { error: 'expected at least one port; leave the field out to match any' })
  .optional()

const serviceAccounts = z
  .array(
    z
      .string()
      .regex(/^([^/*]+\/)?[^/*]+$/, { error: 'expected "service-account" or "namespace/service-account"' }),
  )
  .min(1, { error: 'expected at least one service account; leave the field out to match anything' })
  .optional()

const source = z
  .strictObject({
    principals: values,
    notPrincipals: values,
    requestPrincipals: values,
    notRequestPrincipals: values,
    namespaces: values,
    notNamespaces: values,
    ipBlocks,
    notIpBlocks: ipBlocks,
    remoteIpBlocks: ipBlocks,
    notRemoteIpBlocks: ipBlocks,
    serviceAccounts,
    notServiceAccounts: serviceAccounts,
    trustDomains: values,
    notTrustDomains: values,
  })
  .refine(hasFields, { error: 'expected at least one field: an empty source would never match' })
  .refine((from) => !combinesAccounts(from), {
    error: 'serviceAccounts cannot be combined with principals or namespaces: they say the same thing',
  })

const paths = z
  .array(
    z
      .string({ error: 'expected text: put quotes around it' })
      .min(1, { error: 'expected text that is not empty' })
      .superRefine((text, context) => {
        const reason = templateFault(text)
        if (reason !== undefined) context.addIssue({ code: 'custom', message: reason })
      }),
  )
  .min(1, { error: 'expected at least one value; leave the field out to match anything' })
  .optional()

const operation = z
  .strictObject({
    hosts: values,
    notHosts: values,
    ports,
    notPorts: ports,
    methods: values,
    notMethods: values,
    paths,
    notPaths: paths,
  })
  .refine(hasFields, { error: 'expected at least one field: an empty operation would never match' })

const condition = z
  .strictObject({ key: z.string().min(1), values, notValues: values })
  .refine((when) => when.values !== undefined || when.notValues !== undefined, {
    error: 'expected values or notValues',
  })
  .superRefine((when, context) => checkConditionValues(when, context))

const rule = z.strictObject({
  from: z.array(z.strictObject({ source })).min(1, { error: 'expected at least one source' }).optional(),
  to: z.array(z.strictObject({ operation })).min(1, { error: 'expected at least one operation' }).optional(),
  when: z.array(condition).min(1, { error: 'expected at least one condition' }).optional(),
})

const selector = z.strictObject({ matchLabels: z.record(z.string(), z.string()).optional() }).nullish()

const targetRef = z
  .strictObject(
    {
      group: z.string().nullish(),
      kind: z.string({ error: 'expected text: Service, Gateway, GatewayClass or ServiceEntry' }).min(1),
      name: dnsSubdomain,
      namespace: z.string().nullish(),
    },
    { error: 'expected group, kind and name' },
  )
  .transform(({ group, kind, name, namespace }): TargetReference => {
    // Kubernetes' own group has no name; "core" is what people call it.
    return { group: !group || group === 'core' ? '' : group, kind, name, namespace: namespace || undefined }
  })

const policySpec = z
  .strictObject({
    selector,
    targetRef: targetRef.nullish(),
    targetRefs: z.array(targetRef).nullish(),
    action: z
      .enum(['ALLOW', 'DENY', 'AUDIT', 'CUSTOM'], { error: 'expected ALLOW, DENY, AUDIT or CUSTOM' })
      .nullish(),
    rules: z.array(rule).nullish(),
    provider: z.strictObject({ name: z.string() }).nullish(),
  })
  .refine((spec) => spec.action !== 'DENY' || (spec.rules ?? []).length > 0, {
    error: 'a DENY policy without rules denies nothing; write "rules: [{}]" to deny everything',
  })
  .refine((spec) => !spec.selector || targetRefsOf(spec).length === 0, {
    error: 'selector and targetRefs exclude each other',
  })

/** `security.istio.io` AuthorizationPolicy. A spec that is absent or empty allows nothing, as in Istio. */
export const authorizationPolicySchema = z
  .strictObject({
    apiVersion: z.string(),
    kind: z.string(),
    metadata: namespacedMeta,
    spec: policySpec.nullish(),
    status: z.unknown().optional(),
  })
  .transform(
    ({ metadata, spec }): AuthorizationPolicy => ({
      kind: 'AuthorizationPolicy',
      metadata,
      spec: {
        matchLabels: labelsOf(spec?.selector),
        targetRefs: spec ? targetRefsOf(spec) : [],
        action: spec?.action ?? 'ALLOW',
        rules: spec?.rules ?? [],
      },
    }),
  )

const mutualTls = z
  .strictObject({
    mode: z
      .enum(['UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT'], {
        error: 'expected UNSET, DISABLE, PERMISSIVE or STRICT',
      })
      .nullish(),
  })
  .transform(({ mode }): MutualTlsMode => mode ?? 'UNSET')

const portMap = z
  .record(z.string().refine(isPort, { error: 'expected a port number from 1 to 65535' }), mutualTls)
  .nullish()

/** `security.istio.io` PeerAuthentication. */
export const peerAuthenticationSchema = z
  .strictObject({
    apiVersion: z.string(),
    kind: z.string(),
    metadata: namespacedMeta,
    spec: z.strictObject({ selector, mtls: mutualTls.nullish(), portLevelMtls: portMap }).nullish(),
    status: z.unknown().optional(),
  })
  .transform(
    ({ metadata, spec }): PeerAuthentication => ({
      kind: 'PeerAuthentication',
      metadata,
      spec: {
        matchLabels: labelsOf(spec?.selector),
        mode: spec?.mtls ?? 'UNSET',
        portLevelMtls: new Map(
          Object.entries(spec?.portLevelMtls ?? {})
            .map(([port, mode]): [number, MutualTlsMode] => [Number(port), mode])
            .sort(([a], [b]) => a - b),
        ),
      },
    }),
  )

function targetRefsOf(spec: {
  readonly targetRef?: TargetReference | null | undefined
  readonly targetRefs?: readonly TargetReference[] | null | undefined
}): readonly TargetReference[] {
  return [...(spec.targetRef ? [spec.targetRef] : []), ...(spec.targetRefs ?? [])]
}

/** A selector without labels selects nothing in particular: the same as none. */
function labelsOf(given: z.infer<typeof selector>): Readonly<Record<string, string>> | undefined {
  const labels = given?.matchLabels
  return labels !== undefined && Object.keys(labels).length > 0 ? labels : undefined
}

function checkConditionValues(when: PolicyCondition, context: z.RefinementCtx) {
  const check =
    when.key === 'destination.port'
      ? isPort
      : ['source.ip', 'destination.ip', 'remote.ip'].includes(when.key)
        ? isIpBlock
        : undefined
  if (check === undefined) return
  const expected = check === isPort ? 'a port number from 1 to 65535' : 'an IP address or a CIDR block'
  for (const field of ['values', 'notValues'] as const) {
    for (const [index, value] of (when[field] ?? []).entries()) {
      if (check(value)) continue
      context.addIssue({
        code: 'custom',
        path: [field, index],
        message: `expected ${expected}, got "${value}"`,
      })
    }
  }
}

function hasFields(fields: object): boolean {
  return Object.values(fields).some((value) => value !== undefined)
}

function combinesAccounts(from: PolicySource): boolean {
  const accounts = from.serviceAccounts ?? from.notServiceAccounts
  const others = from.principals ?? from.notPrincipals ?? from.namespaces ?? from.notNamespaces
  return accounts !== undefined && others !== undefined
}

/** What is wrong with a path that has operators of a template in it. */
function templateFault(text: string): string | undefined {
  if (!isPathTemplate(text)) return undefined
  try {
    parsePathTemplate(text)
    return undefined
  } catch (error) {
    return error instanceof SyntaxError ? error.message : String(error)
  }
}

function isPort(text: string): boolean {
  return /^[1-9]\d{0,4}$/.test(text) && Number(text) <= 65535
}

/** Strictly: `10.8/16` and `010.0.0.0/8` mean one block to one reader and another to the next. */
function isIpBlock(text: string): boolean {
  return !text.includes('%') && parseCidr(text) !== undefined
}
