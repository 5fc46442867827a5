import { type Document, LineCounter, parseAllDocuments, type YAMLError } from 'yaml'
import type { z } from 'zod'
import { placeOf, placeOfSyntaxError } from '../yaml-place.ts'
import { objectId } from './collect-objects.ts'
import type { KubernetesObject, OtherObject } from './objects.ts'
import { type FileProblem, formatFieldPath } from './problem.ts'
import { configMapSchema, nodeSchema } from './schema-cluster.ts'
import { namespaceSchema, podSchema, serviceSchema } from './schema-core.ts'
import { endpointSliceSchema } from './schema-discovery.ts'
import { gatewaySchema } from './schema-gateway.ts'
import { grpcRouteSchema } from './schema-grpc-route.ts'
import { httpRouteSchema } from './schema-http-route.ts'
import { serviceEntrySchema, workloadEntrySchema } from './schema-networking.ts'
import { authorizationPolicySchema, peerAuthenticationSchema } from './schema-security.ts'
import { referenceGrantSchema, tcpRouteSchema } from './schema-tcp-route.ts'
import { unknownFields } from './unknown-fields.ts'
import { yamlChunks } from './yaml-chunks.ts'

/** An object and where it stands, for problems that show only among several objects. */
export interface ParsedObject {
  readonly object: KubernetesObject
  readonly file: string
  readonly line: number
  readonly column: number
}

/** Something that cannot be used as it stands; every error among the problems is about one. */
export interface RefusedObject {
  /** As `objectId` has it; undefined when it cannot be told what the object is. */
  readonly id: string | undefined
  readonly line: number | undefined
  readonly column: number | undefined
}

/** What one file says. */
export interface ParsedFile extends ParsedDocuments {
  /** Parts of the file by what their text is, with places within the part. */
  readonly chunks: ReadonlyMap<string, ParsedDocuments>
}

export interface ParsedDocuments {
  readonly objects: readonly ParsedObject[]
  /** What else the file means to say. Without it the objects are not all that their author meant. */
  readonly refused: readonly RefusedObject[]
  readonly others: readonly OtherObject[]
  readonly problems: readonly FileProblem[]
}

/**
 * Reads one file of Kubernetes YAML: any number of documents, `List`s among
 * them. Never throws. Documents that were in the file before are not read
 * again, and give the same objects.
 */
export function parseFile(file: string, text: string, before?: ParsedFile): ParsedFile {
  const chunks = new Map<string, ParsedDocuments>()
  const all: Mutable = { objects: [], refused: [], others: [], problems: [] }
  for (const { text: part, key, linesBefore } of yamlChunks(text)) {
    const parsed = chunks.get(key) ?? before?.chunks.get(key) ?? parseDocuments(file, part)
    chunks.set(key, parsed)
    const moved = <P extends { readonly line: number | undefined }>(place: P): P =>
      place.line === undefined ? place : { ...place, line: place.line + linesBefore }
    for (const entry of parsed.objects) all.objects.push(moved(entry))
    for (const entry of parsed.refused) all.refused.push(moved(entry))
    for (const problem of parsed.problems) all.problems.push(moved(problem))
    all.others.push(...parsed.others)
  }
  return { ...all, problems: firstOf(all.problems), chunks }
}

function parseDocuments(file: string, text: string): ParsedDocuments {
  const lines = new LineCounter()
  const parsed: Reading = { file, lines, objects: [], refused: [], others: [], problems: [] }
  // Anchors and merge keys are YAML; duplicate keys are refused, as kubectl does.
  for (const document of parseAllDocuments(text, { lineCounter: lines, merge: true })) {
    if (!('contents' in document)) continue
    readDocument(document, parsed)
  }
  const { objects, refused, others, problems } = parsed
  return { objects, refused, others, problems }
}

interface Reading extends Mutable {
  readonly file: string
  readonly lines: LineCounter
}

interface Mutable {
  readonly objects: ParsedObject[]
  readonly refused: RefusedObject[]
  readonly others: OtherObject[]
  readonly problems: FileProblem[]
}

type Path = readonly PropertyKey[]

/** Kinds that belong to a mesh but carry nothing that we need to read. */
const TOLERATED_KINDS: ReadonlySet<string> = new Set(['v1/ServiceAccount'])
/** Asks for tokens in requests: a waypoint's business. */
const L7_KIND = 'RequestAuthentication'
/** Of another group or version they are meant all the same: with a warning only, what they deny would be allowed. */
const POLICY_KINDS: ReadonlySet<string> = new Set(['AuthorizationPolicy', 'PeerAuthentication'])
/** What they are of, no namespace says. */
const CLUSTER_KINDS: ReadonlySet<string> = new Set(['Namespace', 'Node'])
const UNKNOWN: RefusedObject = { id: undefined, line: undefined, column: undefined }
/** Of one file; a file that is no YAML at all has one for every few bytes. Entries. */
const MAX_PROBLEMS = 100

const SCHEMAS: ReadonlyMap<string, z.ZodType<KubernetesObject>> = new Map<
  string,
  z.ZodType<KubernetesObject>
>([
  ['v1/Namespace', namespaceSchema],
  ['v1/Pod', podSchema],
  ['v1/Service', serviceSchema],
  ['discovery.k8s.io/v1/EndpointSlice', endpointSliceSchema],
  ['v1/Node', nodeSchema],
  ['v1/ConfigMap', configMapSchema],
  ['gateway.networking.k8s.io/v1/Gateway', gatewaySchema],
  ['gateway.networking.k8s.io/v1beta1/Gateway', gatewaySchema],
  ['gateway.networking.k8s.io/v1/HTTPRoute', httpRouteSchema],
  ['gateway.networking.k8s.io/v1beta1/HTTPRoute', httpRouteSchema],
  ['gateway.networking.k8s.io/v1/GRPCRoute', grpcRouteSchema],
  ['gateway.networking.k8s.io/v1/TCPRoute', tcpRouteSchema],
  ['gateway.networking.k8s.io/v1alpha2/TCPRoute', tcpRouteSchema],
  ['gateway.networking.k8s.io/v1/ReferenceGrant', referenceGrantSchema],
  ['gateway.networking.k8s.io/v1beta1/ReferenceGrant', referenceGrantSchema],
  ['networking.istio.io/v1/ServiceEntry', serviceEntrySchema],
  ['networking.istio.io/v1beta1/ServiceEntry', serviceEntrySchema],
  ['networking.istio.io/v1/WorkloadEntry', workloadEntrySchema],
  ['networking.istio.io/v1beta1/WorkloadEntry', workloadEntrySchema],
  ['security.istio.io/v1/AuthorizationPolicy', authorizationPolicySchema],
  ['security.istio.io/v1beta1/AuthorizationPolicy', authorizationPolicySchema],
  ['security.istio.io/v1/PeerAuthentication', peerAuthenticationSchema],
  ['security.istio.io/v1beta1/PeerAuthentication', peerAuthenticationSchema],
])

/** The errors among them first when there are too many: they decide whether the file is used. */
function firstOf(problems: readonly FileProblem[]): readonly FileProblem[] {
  if (problems.length <= MAX_PROBLEMS) return problems
  const ranked = [...problems].sort((a, b) => rank(a) - rank(b)).slice(0, MAX_PROBLEMS)
  const [first] = ranked
  if (first === undefined) return []
  const message = `${problems.length - MAX_PROBLEMS} problems more`
  return [...ranked, { ...first, line: undefined, column: undefined, field: '', message }]
}

function rank({ severity }: FileProblem): number {
  return severity === 'error' ? 0 : 1
}

function readDocument(document: Document, into: Reading): void {
  if (document.errors.length > 0) {
    for (const error of document.errors) into.problems.push(yamlProblem(error, into))
    into.refused.push(UNKNOWN)
    return
  }
  let value: unknown
  try {
    value = document.toJS()
  } catch (cause) {
    refuse(document, [], into, `not usable YAML: ${String(cause)}`)
    return
  }
  if (value !== null && value !== undefined) readObject(value, [], document, into)
}

function readObject(value: unknown, path: Path, document: Document, into: Reading): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    refuse(document, path, into, 'expected a Kubernetes object with apiVersion and kind')
    return
  }
  const apiVersion = textField(value, 'apiVersion')
  const kind = textField(value, 'kind')
  if (apiVersion === undefined || kind === undefined) {
    const field = kind === undefined ? 'kind' : 'apiVersion'
    refuse(document, [...path, field], into, 'expected text: every object has one')
    return
  }
  const type = `${apiVersion}/${kind}`
  if (apiVersion === 'v1' && kind === 'List' && 'items' in value && Array.isArray(value.items)) {
    for (const [index, item] of value.items.entries())
      readObject(item, [...path, 'items', index], document, into)
    return
  }
  const schema = SCHEMAS.get(type)
  if (schema === undefined) into.others.push(...otherObject(value, apiVersion, kind))
  if (TOLERATED_KINDS.has(type)) return
  if (schema === undefined) {
    const known = [...SCHEMAS.keys(), ...TOLERATED_KINDS].join(', ')
    const isPolicy =
      (apiVersion.startsWith('security.istio.io/') && kind !== L7_KIND) || POLICY_KINDS.has(kind)
    const message = isPolicy
      ? `${type} is no policy that is known here; check apiVersion and kind, read are ${known}`
      : `${type} is not read here and has no effect; read are ${known}`
    if (isPolicy) refuse(document, [...path, 'kind'], into, message)
    else into.problems.push(problemAt(document, [...path, 'kind'], into, 'warning', message))
    return
  }
  validate(schema, kind, value, path, document, into)
}

function validate(
  schema: z.ZodType<KubernetesObject>,
  kind: string,
  value: object,
  path: Path,
  document: Document,
  into: Reading,
): void {
  for (const { path: field, message } of unknownFields(kind, value)) {
    into.problems.push(problemAt(document, [...path, ...field], into, 'warning', message))
  }
  const result = schema.safeParse(value)
  if (result.success) {
    into.objects.push({ object: result.data, file: into.file, ...placeOf(document, path, into.lines) })
    return
  }
  const { issues } = result.error
  into.refused.push({ id: refusedId(kind, value, issues), ...placeOf(document, path, into.lines) })
  for (const issue of issues) {
    const at = [...path, ...issue.path]
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) {
        const message = 'unknown field; check its spelling: ignored, it could allow what it was meant to deny'
        into.problems.push(problemAt(document, [...at, key], into, 'error', message))
      }
    } else {
      into.problems.push(
        problemAt(document, at, into, 'error', issue.message.replace(/^Invalid input: /, '')),
      )
    }
  }
}

/** What an object is that cannot be used; undefined if the mistake is in just that. */
function refusedId(kind: string, value: object, issues: readonly z.core.$ZodIssue[]): string | undefined {
  const metadata: unknown = Reflect.get(value, 'metadata')
  if (typeof metadata !== 'object' || metadata === null) return undefined
  const mistaken = issues.some(
    ({ path: [first, second] }) => first === 'metadata' && second !== 'labels' && second !== 'annotations',
  )
  const name = textField(metadata, 'name')
  if (mistaken || name === undefined) return undefined
  const namespace = CLUSTER_KINDS.has(kind) ? '' : (textField(metadata, 'namespace') ?? 'default')
  return objectId({ kind, metadata: { namespace, name } })
}

function refuse(document: Document, path: Path, into: Reading, message: string): void {
  into.problems.push(problemAt(document, path, into, 'error', message))
  into.refused.push(UNKNOWN)
}

/** Its name if it has one: of what is not read, nothing is refused. */
function otherObject(value: object, apiVersion: string, kind: string): readonly OtherObject[] {
  const metadata: unknown = Reflect.get(value, 'metadata')
  const name = typeof metadata === 'object' && metadata !== null ? textField(metadata, 'name') : undefined
  if (name === undefined || typeof metadata !== 'object' || metadata === null) return []
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.lastIndexOf('/')) : ''
  return [{ group, kind, namespace: textField(metadata, 'namespace') ?? 'default', name }]
}

function textField(value: object, field: string): string | undefined {
  const found: unknown = Reflect.get(value, field)
  return typeof found === 'string' && found !== '' ? found : undefined
}

function yamlProblem(error: YAMLError, into: Reading): FileProblem {
  return { severity: 'error', file: into.file, field: '', ...placeOfSyntaxError(error, into.lines) }
}

function problemAt(
  document: Document,
  path: Path,
  into: Reading,
  severity: FileProblem['severity'],
  message: string,
): FileProblem {
  return {
    severity,
    file: into.file,
    ...placeOf(document, path, into.lines),
    field: formatFieldPath(path),
    message,
  }
}
