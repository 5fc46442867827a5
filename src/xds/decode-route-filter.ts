import type {
  BackendTarget as BackendTargetMessage,
  HeaderModifier as HeaderModifierMessage,
  HttpFilter as HttpFilterMessage,
  Mirror,
  PathModifier as PathModifierMessage,
  Redirect,
} from '../gen/ztunnel/waypoint/route_pb.ts'
import { isFieldName, isFieldValue, isFramingHeader } from '../mesh/http/header-modifier.ts'
import type {
  BackendTarget,
  HttpFilter,
  HttpHeaderField,
  HttpHeaderModifier,
  HttpPathModifier,
} from '../mesh/http/route-model.ts'
import type { ServiceKey } from '../mesh/model.ts'
import { invalid } from './decode-fields.ts'

/** A filter. One of a kind that is not known here must not be left out: the route is refused. */
export function decodeFilter({ filter }: HttpFilterMessage): HttpFilter {
  switch (filter.case) {
    case 'requestHeaders':
      return { kind: 'RequestHeaderModifier', modifier: decodeModifier(filter.value) }
    case 'responseHeaders':
      return { kind: 'ResponseHeaderModifier', modifier: decodeModifier(filter.value) }
    case 'redirect':
      return decodeRedirect(filter.value)
    case 'rewrite': {
      const { hostname, path } = filter.value
      return { kind: 'URLRewrite', hostname: decodeHostname(hostname), path: decodePath(path) }
    }
    case 'mirror':
      return decodeMirror(filter.value)
    case 'unsupported':
      return { kind: 'Unsupported', reason: filter.value }
    case undefined:
      throw invalid('unknown kind of filter')
  }
}

/** Where a backend leads. */
export function decodeTarget(message: BackendTargetMessage | undefined): BackendTarget {
  const target = message?.target
  if (target?.case === 'invalid') return { kind: 'invalid', reason: target.value }
  if (target?.case !== 'service') throw invalid('unknown kind of backend')
  const { service, port } = target.value
  return { kind: 'service', service: decodeRouteService(service), port: decodePort(port) }
}

/** `namespace/hostname` */
export function decodeRouteService(text: string): ServiceKey {
  const [namespace, hostname, ...rest] = text.split('/')
  if (!namespace || !hostname || rest.length > 0) throw invalid(`"${text}" is not namespace/hostname`)
  return `${namespace}/${hostname}`
}

/** A port that is one. */
export function decodePort(port: number): number {
  if (port < 1 || port > 65_535) throw invalid(`${port} is no port`)
  return port
}

function decodeRedirect(message: Redirect): HttpFilter {
  const { scheme, hostname, path, port, statusCode } = message
  if (scheme !== '' && scheme !== 'http' && scheme !== 'https') {
    throw invalid(`scheme "${scheme}" is neither http nor https`)
  }
  if (statusCode < 300 || statusCode > 399) throw invalid(`status ${statusCode} is no redirect`)
  return {
    kind: 'RequestRedirect',
    scheme: scheme || undefined,
    hostname: decodeHostname(hostname),
    path: decodePath(path),
    port: port === 0 ? undefined : decodePort(port),
    statusCode,
  }
}

function decodeMirror({ backend, numerator, denominator }: Mirror): HttpFilter {
  if (denominator === 0) throw invalid('a share of requests to mirror has the denominator 0')
  return { kind: 'RequestMirror', backend: decodeTarget(backend), numerator, denominator }
}

function decodePath(message: PathModifierMessage | undefined): HttpPathModifier | undefined {
  if (message === undefined) return undefined
  const { modifier } = message
  if (modifier.case === undefined) throw invalid('unknown kind of path change')
  // It becomes a part of a request line, or of a response's Location.
  if (!/^[\x21-\x7e]*$/.test(modifier.value)) throw invalid('a path has characters that no URL may have')
  return { kind: modifier.case, value: modifier.value }
}

/** Undefined for none. */
function decodeHostname(hostname: string): string | undefined {
  if (!/^[a-zA-Z0-9.:[\]-]*$/.test(hostname)) throw invalid(`"${hostname}" is no hostname`)
  return hostname || undefined
}

function decodeModifier({ set, add, remove }: HeaderModifierMessage): HttpHeaderModifier {
  const framing = [...set, ...add].map(({ name }) => name).concat(remove)
  for (const name of framing) {
    if (isFramingHeader(name)) throw invalid(`header ${name} is not a route's to change`)
  }
  return { set: set.map(decodeHeader), add: add.map(decodeHeader), remove }
}

function decodeHeader({ name, value }: HttpHeaderField): HttpHeaderField {
  if (!isFieldName(name) || !isFieldValue(value)) throw invalid(`header "${name}" or its value is none`)
  return { name, value }
}
