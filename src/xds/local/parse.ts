import { type Document, LineCounter, parseDocument } from 'yaml'
import { z } from 'zod'
import type { AuthorizationPolicy, Service, Workload } from '../../mesh/model.ts'
import { policyName, serviceKey } from '../../mesh/names.ts'
import { type FileProblem, formatFieldPath } from '../kubernetes/problem.ts'
import { placeOf, placeOfSyntaxError } from '../yaml-place.ts'
import { policySchema } from './schema-policy.ts'
import { type LocalService, serviceSchema } from './schema-service.ts'
import { workloadSchema } from './schema-workload.ts'

/** A mesh out of a local file. */
export interface LocalState {
  readonly workloads: readonly Workload[]
  readonly services: readonly Service[]
  readonly policies: readonly AuthorizationPolicy[]
}

/** What a file says. With a problem among them nothing of it is used, and `state` is undefined. */
export interface ParsedLocalState {
  readonly state: LocalState | undefined
  readonly problems: readonly FileProblem[]
}

/**
 * Reads the mesh that LOCAL_XDS_PATH or LOCAL_XDS gives (wire/ztunnel 2.7): `workloads`, `services` and `policies`
 * in the form of ztunnel's config dump. Strict: an unknown field, a name that occurs twice and a reference to what is
 * not there are problems. Never throws.
 */
export function parseLocalState(file: string, text: string): ParsedLocalState {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, merge: true })
  const problem = (path: readonly PropertyKey[], message: string): FileProblem => ({
    severity: 'error',
    file,
    ...placeOf(document, path, lines),
    field: formatFieldPath(path),
    message,
  })
  if (document.errors.length > 0) {
    const syntax = document.errors.map((error) => placeOfSyntaxError(error, lines))
    return refused(syntax.map((place) => ({ severity: 'error', file, field: '', ...place })))
  }
  const value = plainValue(document)
  if (value instanceof Error) return refused([problem([], `not usable YAML: ${value.message}`)])
  const result = stateSchema.safeParse(value ?? {})
  if (!result.success)
    return refused(describeIssues(result.error.issues).map(([path, message]) => problem(path, message)))
  const raw = result.data
  const problems = crossCheck(raw).map(([path, message]) => problem(path, message))
  return problems.length > 0 ? refused(problems) : { state: assemble(raw), problems }
}

type Issue = readonly [path: readonly PropertyKey[], message: string]

interface RawState {
  readonly workloads: readonly Workload[]
  readonly services: readonly LocalService[]
  readonly policies: readonly AuthorizationPolicy[]
}

const stateSchema = z
  .strictObject(
    {
      workloads: z.array(workloadSchema).nullish(),
      services: z.array(serviceSchema).nullish(),
      policies: z.array(policySchema).nullish(),
    },
    { error: 'expected workloads, services and policies' },
  )
  .transform(
    (raw): RawState => ({
      workloads: raw.workloads ?? [],
      services: raw.services ?? [],
      policies: raw.policies ?? [],
    }),
  )

function refused(problems: readonly FileProblem[]): ParsedLocalState {
  return { state: undefined, problems }
}

function plainValue(document: Document): unknown {
  try {
    return document.toJS()
  } catch (cause) {
    // An alias that expands without end.
    return cause instanceof Error ? cause : new Error(String(cause))
  }
}

function describeIssues(issues: readonly z.core.$ZodIssue[]): readonly Issue[] {
  return issues.flatMap((issue): readonly Issue[] => {
    if (issue.code !== 'unrecognized_keys')
      return [[issue.path, issue.message.replace(/^Invalid input: /, '')]]
    return issue.keys.map((key) => [[...issue.path, key], 'unknown field; check its spelling'])
  })
}

/** Names that are there twice, and references that lead nowhere: a policy that is not found would protect nothing. */
function crossCheck({ workloads, services, policies }: RawState): readonly Issue[] {
  const issues: Issue[] = [
    ...duplicates('workloads', workloads, ({ uid }) => uid),
    ...duplicates('services', services, ({ service }) => serviceKey(service)),
    ...duplicates('policies', policies, policyName),
  ]
  const known = new Set(services.map(({ service }) => serviceKey(service)))
  const policyNames = new Set(policies.map(policyName))
  const uids = new Set(workloads.map(({ uid }) => uid))
  for (const [index, workload] of workloads.entries()) {
    for (const key of workload.services.keys()) {
      if (!known.has(key)) issues.push([['workloads', index, 'services', key], `there is no service ${key}`])
    }
    for (const [position, name] of workload.authorizationPolicies.entries()) {
      const path = ['workloads', index, 'authorizationPolicies', position]
      if (!policyNames.has(name)) issues.push([path, `there is no policy ${name}`])
    }
  }
  for (const [index, { endpoints }] of services.entries()) {
    for (const { workloadUid } of endpoints) {
      if (!uids.has(workloadUid))
        issues.push([['services', index, 'endpoints'], `there is no workload ${workloadUid}`])
    }
  }
  return issues
}

function duplicates<Item>(field: string, items: readonly Item[], nameOf: (item: Item) => string): Issue[] {
  const seen = new Set<string>()
  return items.flatMap((item, index): Issue[] => {
    const name = nameOf(item)
    if (!seen.has(name)) {
      seen.add(name)
      return []
    }
    return [[[field, index], `${name} is there already`]]
  })
}

/** Endpoints that services list become their workloads' own. */
function assemble({ workloads, services, policies }: RawState): LocalState {
  return {
    services: services.map(({ service }) => service),
    policies,
    workloads: workloads.map((workload) => {
      const added = new Map(workload.services)
      for (const { service, endpoints } of services) {
        const own = endpoints.find(({ workloadUid }) => workloadUid === workload.uid)
        if (own !== undefined && !added.has(serviceKey(service))) added.set(serviceKey(service), own.ports)
      }
      return { ...workload, services: added }
    }),
  }
}
