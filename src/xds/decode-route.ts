import { fromBinary } from '@bufbuild/protobuf'
import {
  type HttpBackend as HttpBackendMessage,
  type HttpMatch as HttpMatchMessage,
  type HttpRoute as HttpRouteMessage,
  type HttpRule as HttpRuleMessage,
  type RouteParent as RouteParentMessage,
  RouteSchema,
  type TcpRoute as TcpRouteMessage,
  type ValueMatch as ValueMatchMessage,
} from '../gen/ztunnel/waypoint/route_pb.ts'
import { compilePattern } from '../mesh/http/pattern.ts'
import type {
  HttpBackend,
  HttpRoute,
  HttpRouteMatch,
  HttpRouteRule,
  HttpValueMatch,
  Route,
  RouteParent,
  TcpRoute,
} from '../mesh/http/route-model.ts'
import { invalid } from './decode-fields.ts'
import { decodeFilter, decodePort, decodeRouteService, decodeTarget } from './decode-route-filter.ts'
import { XdsError } from './errors.ts'

/**
 * The bytes of a `ztunnel.waypoint.Route` as the mesh model has them. Throws
 * `XdsError` (`invalid-resource`): a route is used as a whole or not at all,
 * since a request that a rule was left out for could go where another rule
 * sends it.
 */
export function decodeRoute(bytes: Uint8Array): Route {
  const message = parse(() => fromBinary(RouteSchema, bytes, { readUnknownFields: false }))
  if (message.name === '' || message.namespace === '') throw invalid('a route has no name or namespace')
  const { name, namespace, creationTimestamp, route } = message
  const base = { name, namespace, creationTimestamp, parents: message.parents.map(decodeParent) }
  if (route.case === undefined) throw invalid('unknown kind of route')
  if (route.case === 'tcp') return Object.freeze({ kind: 'TCPRoute', ...base, ...decodeTcp(route.value) })
  const kind = route.case === 'grpc' ? 'GRPCRoute' : 'HTTPRoute'
  return Object.freeze({ kind, ...base, ...decodeHttp(route.value, kind) })
}

/** More than the Gateway API allows in one route, which is 128. Entries. */
const MAX_MATCHES = 1_024

function decodeHttp(
  { hostnames, rules }: HttpRouteMessage,
  kind: HttpRoute['kind'],
): Pick<HttpRoute, 'hostnames' | 'rules'> {
  const matches = rules.reduce((sum, rule) => sum + rule.matches.length, 0)
  if (matches > MAX_MATCHES) throw invalid(`${matches} matches, at most ${MAX_MATCHES} are allowed`)
  return { hostnames, rules: rules.map((rule) => decodeRule(rule, kind)) }
}

function decodeTcp({ rules }: TcpRouteMessage): Pick<TcpRoute, 'rules'> {
  return {
    rules: rules.map(({ name, backends }) => ({
      name: name || undefined,
      backends: backends.map(({ target, weight }) => ({ target: decodeTarget(target), weight })),
    })),
  }
}

function decodeParent({ parent, port }: RouteParentMessage): RouteParent {
  const at = port === 0 ? undefined : decodePort(port)
  if (parent.case === 'service') {
    return { kind: 'service', service: decodeRouteService(parent.value), port: at }
  }
  if (parent.case !== 'gateway') throw invalid('unknown kind of parent')
  const { namespace, name } = parent.value
  return { kind: 'gateway', namespace, name, port: at }
}

function decodeRule(message: HttpRuleMessage, kind: HttpRoute['kind']): HttpRouteRule {
  if (message.matches.length === 0) throw invalid('a rule has no match')
  const { retry } = message
  return {
    name: message.name || undefined,
    matches: message.matches.map((match) => decodeMatch(match, kind)),
    filters: message.filters.map(decodeFilter),
    backends: message.backends.map(decodeBackend),
    timeouts: {
      requestMs: message.requestTimeout || undefined,
      backendRequestMs: message.backendRequestTimeout || undefined,
    },
    retry: retry && {
      codes: retry.codes,
      attempts: retry.attempts,
      backoffMs: retry.backoff || undefined,
    },
  }
}

function decodeBackend({ target, weight, filters }: HttpBackendMessage): HttpBackend {
  return { target: decodeTarget(target), weight, filters: filters.map(decodeFilter) }
}

function decodeMatch(message: HttpMatchMessage, kind: HttpRoute['kind']): HttpRouteMatch {
  const path = message.path?.match
  if (path?.case === undefined) throw invalid('a match has no path')
  if (path.case === 'regex') checkPattern(path.value)
  else if (!path.value.startsWith('/')) throw invalid(`path "${path.value}" does not begin with "/"`)
  const decoded = {
    path: { kind: path.case, value: path.value },
    headers: message.headers.map(decodeValue),
    query: message.query.map(decodeValue),
    method: message.method || undefined,
  }
  if (kind === 'HTTPRoute') return decoded
  const { service = 0, method = 0 } = message.grpc ?? {}
  return { ...decoded, grpc: { service, method } }
}

function decodeValue({ name, match }: ValueMatchMessage): HttpValueMatch {
  if (match.case === undefined) throw invalid(`the match of ${name} has no value`)
  if (match.case === 'regex') checkPattern(match.value)
  return { kind: match.case, name, value: match.value }
}

function checkPattern(source: string): void {
  parse(() => compilePattern(source))
}

function parse<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new XdsError('invalid-resource', `failed to decode: ${reason}`, { cause })
  }
}
