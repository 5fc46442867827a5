import { type Document, LineCounter, parseDocument } from 'yaml'
import { z } from 'zod'
import { placeOf, placeOfSyntaxError } from '../xds/yaml-place.ts'
import { OUTSIDE } from './topology.ts'

/** A connection that an example makes, and what is to come of it. */
export interface ExampleConnection {
  /** The client, `namespace/name` of a pod. */
  readonly from: string
  /** The server, `namespace/name` of a pod, or `outside`. */
  readonly to: string
  /** Name of the server's port. Default `http`. */
  readonly port: 'http' | 'tcp'
  /** Which address is dialled. Default: the service's, for a client in the mesh and a server that has one. */
  readonly by: 'service' | 'pod' | undefined
  /** Which of the server's addresses, where it has both. Default IPv4. */
  readonly family: 4 | 6 | undefined
  readonly verdict: 'allowed' | 'denied'
  /**
   * `namespace/name` of the policy that decides. Undefined, `none` in the file:
   * for `allowed`, no ALLOW policy applies; for `denied`, none of them matches.
   */
  readonly policy: string | undefined
  /** Dry-run policies that would have matched. Default none. */
  readonly dryRun: readonly string[]
  /** For the reader: one sentence. */
  readonly why: string
  /** In the file, from 1. */
  readonly line: number
}

/** What `connections.yaml` says. */
export interface ExampleFile {
  /** Folder with the mesh that the example runs in, relative to the file. */
  readonly mesh: string
  readonly connections: readonly ExampleConnection[]
}

/** Either the content, or why there is none: `file:line:column: field: message`. */
export type ParsedExample =
  | { readonly content: ExampleFile; readonly problems: readonly [] }
  | { readonly content: undefined; readonly problems: readonly string[] }

/** Reads a `connections.yaml`. Strict: an unknown field is a problem. Never throws. */
export function parseExample(file: string, text: string): ParsedExample {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines })
  if (document.errors.length > 0) {
    return refused(
      document.errors.map((error) => {
        const { line, column, message } = placeOfSyntaxError(error, lines)
        return `${file}:${line}:${column}: ${message}`
      }),
    )
  }
  const result = exampleSchema.safeParse(plainValue(document))
  if (!result.success) {
    return refused(
      result.error.issues.flatMap((issue) => {
        const { line, column } = placeOf(document, issue.path, lines)
        const unknown = issue.code === 'unrecognized_keys' ? issue.keys : []
        const message = issue.message.replace(/^Invalid input: /, '')
        if (unknown.length === 0) return [`${file}:${line}:${column}: ${fieldOf(issue.path)}${message}`]
        return unknown.map((key) => {
          const place = placeOf(document, [...issue.path, key], lines)
          return `${file}:${place.line}:${place.column}: ${fieldOf([...issue.path, key])}unknown field`
        })
      }),
    )
  }
  const { mesh, connections } = result.data
  const located = connections.map((connection, index) => {
    const { policy, by, family, ...rest } = connection
    const { line } = placeOf(document, ['connections', index], lines)
    return { ...rest, by, family, policy: policy === NO_POLICY ? undefined : policy, line }
  })
  return { content: { mesh, connections: located }, problems: [] }
}

/** No policy's name: it has no namespace. */
const NO_POLICY = 'none'
/** Of one example; each takes a second on a slow machine. */
const MAX_CONNECTIONS = 100

const NAME = /^[a-z0-9.-]+\/[a-z0-9._-]+$/

const connectionSchema = z.strictObject({
  from: z.string().regex(NAME, 'expected the namespace/name of a pod'),
  to: nameOr(OUTSIDE.name, 'expected the namespace/name of a pod, or outside'),
  port: z.enum(['http', 'tcp']).default('http'),
  by: z.enum(['service', 'pod']).optional(),
  family: z.union([z.literal(4), z.literal(6)]).optional(),
  verdict: z.enum(['allowed', 'denied']),
  policy: nameOr(NO_POLICY, 'expected the namespace/name of the policy that decides, or none'),
  dryRun: z.array(z.string().regex(NAME, 'expected the namespace/name of a policy')).default([]),
  why: z.string().min(1).max(200),
})

const exampleSchema = z.strictObject({
  mesh: z.string().min(1),
  connections: z.array(connectionSchema).min(1).max(MAX_CONNECTIONS),
})

function nameOr(word: string, message: string): z.ZodType<string> {
  return z.string().refine((text) => text === word || NAME.test(text), message)
}

function refused(problems: readonly string[]): ParsedExample {
  return { content: undefined, problems }
}

/** An alias without an anchor makes `toJS` throw; the schema then says that nothing is there. */
function plainValue(document: Document): unknown {
  try {
    return document.toJS()
  } catch {
    return undefined
  }
}

function fieldOf(path: readonly PropertyKey[]): string {
  return path.length === 0 ? '' : `${path.map(String).join('.')}: `
}
