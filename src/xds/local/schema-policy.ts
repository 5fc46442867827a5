import { z } from 'zod'
import type { AuthorizationPolicy, PolicyMatch, StringMatch } from '../../mesh/model.ts'
import { cidr, filledText, flag, named, port } from './schema-common.ts'

const KINDS = { Exact: 'exact', Prefix: 'prefix', Suffix: 'suffix' } as const

/** `{Exact: x}`, `{Prefix: x}`, `{Suffix: x}` or `{Presence: []}`. */
const stringMatch = z
  .strictObject(
    {
      Exact: z.string().optional(),
      Prefix: z.string().optional(),
      Suffix: z.string().optional(),
      Presence: z.array(z.never()).optional(),
    },
    { error: 'expected {Exact: text}, {Prefix: text}, {Suffix: text} or {Presence: []}' },
  )
  .transform((raw, context): StringMatch => {
    const matches: StringMatch[] = raw.Presence === undefined ? [] : [{ kind: 'presence' }]
    for (const name of ['Exact', 'Prefix', 'Suffix'] as const) {
      const value = raw[name]
      if (value !== undefined) matches.push({ kind: KINDS[name], value })
    }
    const [match] = matches
    if (match !== undefined && matches.length === 1) return match
    context.addIssue({
      code: 'custom',
      message: 'expected exactly one of Exact, Prefix, Suffix and Presence',
    })
    return z.NEVER
  })

const texts = listOf(stringMatch)
const blocks = listOf(cidr)
const ports = listOf(port)
const accounts = listOf(z.strictObject({ namespace: filledText, serviceAccount: filledText }))

const match = z.strictObject({
  namespaces: texts,
  notNamespaces: texts,
  principals: texts,
  notPrincipals: texts,
  serviceAccounts: accounts,
  notServiceAccounts: accounts,
  sourceIps: blocks,
  notSourceIps: blocks,
  destinationIps: blocks,
  notDestinationIps: blocks,
  destinationPorts: ports,
  notDestinationPorts: ports,
}) satisfies z.ZodType<PolicyMatch>

/** A policy as ztunnel's config dump shows it (wire/ztunnel 2.7). */
export const policySchema = z.strictObject({
  name: filledText,
  namespace: filledText,
  scope: named({ Global: 'GLOBAL', Namespace: 'NAMESPACE', WorkloadSelector: 'WORKLOAD_SELECTOR' }),
  action: named({ Allow: 'ALLOW', Deny: 'DENY' }),
  dryRun: flag,
  rules: z.array(z.array(z.array(match)), {
    error: 'expected rules: a list of lists of lists of matches (any rule, all clauses, any match)',
  }),
}) satisfies z.ZodType<AuthorizationPolicy>

function listOf<Item extends z.ZodType>(item: Item) {
  return z
    .array(item)
    .nullish()
    .transform((list): readonly z.infer<Item>[] => list ?? [])
}
