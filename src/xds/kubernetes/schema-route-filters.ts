import { z } from 'zod'
import { isFieldValue, isFramingHeader } from '../../mesh/http/header-modifier.ts'
import type { HttpHeaderModifier, HttpPathModifier } from '../../mesh/http/route-model.ts'
import type { RouteFilter } from './objects-route.ts'
import { portNumber } from './schema-common.ts'
import { backendFields, fieldName, listOf, toBackend } from './schema-route-common.ts'

const headerName = fieldName
  .transform((name) => name.toLowerCase())
  .refine((name) => !isFramingHeader(name), {
    error: "this header is about one connection or the message's length, and not a route's to change",
  })

const headerValue = z
  .string({ error: 'expected text: put quotes around it' })
  .max(4096)
  .refine(isFieldValue, { error: 'expected text without line breaks and control characters' })

const headers = listOf(z.strictObject({ name: headerName, value: headerValue }), 16)

const modifier = z
  .strictObject({ set: headers, add: headers, remove: listOf(headerName, 16) })
  .superRefine(({ set, add, remove }, context) => {
    const names = [...set, ...add].map(({ name }) => name).concat(remove)
    const twice = names.find((name, index) => names.indexOf(name) !== index)
    if (twice !== undefined) context.addIssue({ code: 'custom', message: `header ${twice} is changed twice` })
    for (const name of [...add.map((field) => field.name), ...remove].filter((name) => name === 'host')) {
      context.addIssue({
        code: 'custom',
        message: `header ${name} can be set, and neither added nor removed`,
      })
    }
  })

const urlPath = z
  .string()
  .max(1024)
  .regex(/^[\x21-\x7e]*$/, { error: 'expected a path without spaces: write them as %20' })

const hostname = z
  .string()
  .regex(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, { error: 'expected a hostname, without wildcard or port' })

const pathModifier = z
  .strictObject({
    type: z.enum(['ReplaceFullPath', 'ReplacePrefixMatch'], {
      error: 'expected ReplaceFullPath or ReplacePrefixMatch',
    }),
    replaceFullPath: urlPath.nullish(),
    replacePrefixMatch: urlPath.nullish(),
  })
  .transform(({ type, replaceFullPath, replacePrefixMatch }, context): HttpPathModifier => {
    const [value, other] =
      type === 'ReplaceFullPath'
        ? [replaceFullPath, replacePrefixMatch]
        : [replacePrefixMatch, replaceFullPath]
    if (typeof value === 'string' && typeof other !== 'string') {
      return { kind: type === 'ReplaceFullPath' ? 'full' : 'prefix', value }
    }
    const field = type === 'ReplaceFullPath' ? 'replaceFullPath' : 'replacePrefixMatch'
    context.addIssue({ code: 'custom', message: `type ${type} needs ${field}, and it alone` })
    return z.NEVER
  })

const redirect = z.strictObject({
  scheme: z.enum(['http', 'https'], { error: 'expected http or https' }).nullish(),
  hostname: hostname.nullish(),
  path: pathModifier.nullish(),
  port: portNumber.nullish(),
  statusCode: z.literal([301, 302, 303, 307, 308], { error: 'expected 301, 302, 303, 307 or 308' }).nullish(),
})

const rewrite = z.strictObject({ hostname: hostname.nullish(), path: pathModifier.nullish() })

const fraction = z
  .strictObject({ numerator: z.int().min(0), denominator: z.int().min(1).nullish() })
  .transform(({ numerator, denominator }) => ({ numerator, denominator: denominator ?? 100 }))
  .refine(({ numerator, denominator }) => numerator <= denominator, {
    error: 'expected a numerator that is not above the denominator',
  })

const mirror = z
  .strictObject({
    backendRef: z.strictObject(backendFields).transform(toBackend),
    percent: z.int().min(0).max(100).nullish(),
    fraction: fraction.nullish(),
  })
  .refine(({ percent, fraction }) => typeof percent !== 'number' || !fraction, {
    error: 'expected percent or fraction, not both',
  })

/** The field that a filter has by its type. */
const FIELDS = {
  RequestHeaderModifier: 'requestHeaderModifier',
  ResponseHeaderModifier: 'responseHeaderModifier',
  RequestMirror: 'requestMirror',
  RequestRedirect: 'requestRedirect',
  URLRewrite: 'urlRewrite',
  CORS: 'cors',
  ExternalAuth: 'externalAuth',
  ExtensionRef: 'extensionRef',
} as const

type FilterType = keyof typeof FIELDS

const HTTP_TYPES = Object.keys(FIELDS) as readonly FilterType[]
const GRPC_TYPES = [
  'RequestHeaderModifier',
  'ResponseHeaderModifier',
  'RequestMirror',
  'ExtensionRef',
] as const

/** May stand several times in one list. */
const REPEATABLE: ReadonlySet<string> = new Set(['RequestMirror', 'ExtensionRef', 'Unsupported'])

/** Filters of an HTTPRoute. */
export const httpFilters = filtersOf(HTTP_TYPES)
/** Filters of a GRPCRoute, which has fewer. */
export const grpcFilters = filtersOf(GRPC_TYPES)

function filtersOf(types: readonly FilterType[]) {
  const filter = z
    .strictObject({
      type: z.enum(types, { error: `expected one of ${types.join(', ')}` }),
      requestHeaderModifier: modifier.nullish(),
      responseHeaderModifier: modifier.nullish(),
      requestMirror: mirror.nullish(),
      requestRedirect: redirect.nullish(),
      urlRewrite: rewrite.nullish(),
      cors: z.unknown().optional(),
      externalAuth: z.unknown().optional(),
      extensionRef: z
        .looseObject({ group: z.string().nullish(), kind: z.string(), name: z.string() })
        .nullish(),
    })
    .transform((raw, context) => {
      for (const [type, field] of Object.entries(FIELDS)) {
        if ((raw[field] ?? undefined) === undefined || type === raw.type) continue
        context.addIssue({
          code: 'custom',
          path: [field],
          message: `a filter of type ${raw.type} has no ${field}`,
        })
        return z.NEVER
      }
      const converted = convert(raw)
      if (converted !== undefined) return converted
      context.addIssue({ code: 'custom', message: `a filter of type ${raw.type} needs ${FIELDS[raw.type]}` })
      return z.NEVER
    })
  return listOf(filter, 16).superRefine((filters, context) => {
    for (const [index, { kind }] of filters.entries()) {
      if (REPEATABLE.has(kind) || filters.findIndex((other) => other.kind === kind) === index) continue
      context.addIssue({ code: 'custom', path: [index], message: `${kind} can stand here once` })
    }
    const kinds = filters.map(({ kind }) => kind)
    if (!kinds.includes('RequestRedirect') || !kinds.includes('URLRewrite')) return
    context.addIssue({ code: 'custom', message: 'expected RequestRedirect or URLRewrite, not both' })
  })
}

interface RawFilter {
  readonly type: FilterType
  readonly requestHeaderModifier?: HttpHeaderModifier | null | undefined
  readonly responseHeaderModifier?: HttpHeaderModifier | null | undefined
  readonly requestMirror?: z.output<typeof mirror> | null | undefined
  readonly requestRedirect?: z.output<typeof redirect> | null | undefined
  readonly urlRewrite?: z.output<typeof rewrite> | null | undefined
  readonly extensionRef?: { group?: string | null | undefined; kind: string; name: string } | null | undefined
}

/** Undefined when the type's own field is missing. */
function convert(raw: RawFilter): RouteFilter | undefined {
  switch (raw.type) {
    case 'RequestHeaderModifier':
      return raw.requestHeaderModifier ? { kind: raw.type, modifier: raw.requestHeaderModifier } : undefined
    case 'ResponseHeaderModifier':
      return raw.responseHeaderModifier ? { kind: raw.type, modifier: raw.responseHeaderModifier } : undefined
    case 'RequestMirror':
      return raw.requestMirror ? convertMirror(raw.requestMirror) : undefined
    case 'RequestRedirect':
      return raw.requestRedirect ? convertRedirect(raw.requestRedirect) : undefined
    case 'URLRewrite': {
      if (!raw.urlRewrite) return undefined
      const { hostname, path } = raw.urlRewrite
      return { kind: raw.type, hostname: hostname ?? undefined, path: path ?? undefined }
    }
    case 'ExtensionRef': {
      if (!raw.extensionRef) return undefined
      const { group, kind, name } = raw.extensionRef
      return unsupported(`ExtensionRef ${kind} ${name} of group "${group ?? ''}"`)
    }
    case 'CORS':
    case 'ExternalAuth':
      return unsupported(raw.type)
  }
}

function convertMirror({ backendRef, percent, fraction }: z.output<typeof mirror>): RouteFilter {
  const share = fraction ?? { numerator: percent ?? 100, denominator: 100 }
  return { kind: 'RequestMirror', reference: backendRef, ...share }
}

function convertRedirect({
  scheme,
  hostname,
  path,
  port,
  statusCode,
}: z.output<typeof redirect>): RouteFilter {
  return {
    kind: 'RequestRedirect',
    scheme: scheme ?? undefined,
    hostname: hostname ?? undefined,
    path: path ?? undefined,
    port: port ?? undefined,
    statusCode: statusCode ?? 302,
  }
}

/** Left out, it would let requests through that it was meant to stop: the Gateway API asks for an error. */
function unsupported(what: string): RouteFilter {
  return { kind: 'Unsupported', reason: `the filter ${what} is not supported here` }
}
