import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import {
  type BackendTargetSchema,
  type HttpFilterSchema,
  type HttpMatchSchema,
  type HttpRuleSchema,
  type PathModifierSchema,
  type RouteParentSchema,
  RouteSchema,
  type ValueMatchSchema,
} from '../gen/ztunnel/waypoint/route_pb.ts'
import type {
  BackendTarget,
  HttpFilter,
  HttpPathModifier,
  HttpRoute,
  HttpRouteMatch,
  HttpRouteRule,
  HttpValueMatch,
  Route,
  RouteParent,
  TcpRoute,
} from '../mesh/http/route-model.ts'

/** A route as the bytes of a `ztunnel.waypoint.Route`: equal routes give equal bytes. */
export function encodeRoute(route: Route): Uint8Array<ArrayBuffer> {
  const message = create(RouteSchema, {
    name: route.name,
    namespace: route.namespace,
    creationTimestamp: route.creationTimestamp,
    parents: route.parents.map(encodeParent),
    route: route.kind === 'TCPRoute' ? encodeTcp(route) : encodeHttp(route),
  })
  return toBinary(RouteSchema, message)
}

type RouteCase = NonNullable<MessageInitShape<typeof RouteSchema>['route']>

function encodeHttp({ kind, hostnames, rules }: HttpRoute): RouteCase {
  const value = { hostnames: [...hostnames], rules: rules.map(encodeRule) }
  return { case: kind === 'GRPCRoute' ? 'grpc' : 'http', value }
}

function encodeTcp({ rules }: TcpRoute): RouteCase {
  const encoded = rules.map(({ name, backends }) => ({
    name: name ?? '',
    backends: backends.map(({ target, weight }) => ({ target: encodeTarget(target), weight })),
  }))
  return { case: 'tcp', value: { rules: encoded } }
}

function encodeParent(parent: RouteParent): MessageInitShape<typeof RouteParentSchema> {
  const port = parent.port ?? 0
  if (parent.kind === 'service') return { parent: { case: 'service', value: parent.service }, port }
  const { namespace, name } = parent
  return { parent: { case: 'gateway', value: { namespace, name } }, port }
}

function encodeRule(rule: HttpRouteRule): MessageInitShape<typeof HttpRuleSchema> {
  const { retry, timeouts } = rule
  return {
    name: rule.name ?? '',
    matches: rule.matches.map(encodeMatch),
    filters: rule.filters.map(encodeFilter),
    backends: rule.backends.map(({ target, weight, filters }) => ({
      target: encodeTarget(target),
      weight,
      filters: filters.map(encodeFilter),
    })),
    requestTimeout: timeouts.requestMs ?? 0,
    backendRequestTimeout: timeouts.backendRequestMs ?? 0,
    ...(retry && {
      retry: { codes: [...retry.codes], attempts: retry.attempts, backoff: retry.backoffMs ?? 0 },
    }),
  }
}

function encodeMatch({
  path,
  headers,
  query,
  method,
  grpc,
}: HttpRouteMatch): MessageInitShape<typeof HttpMatchSchema> {
  return {
    path: { match: { case: path.kind, value: path.value } },
    headers: headers.map(encodeValue),
    query: query.map(encodeValue),
    method: method ?? '',
    ...(grpc && { grpc }),
  }
}

function encodeValue({ kind, name, value }: HttpValueMatch): MessageInitShape<typeof ValueMatchSchema> {
  return { name, match: { case: kind, value } }
}

function encodeFilter(filter: HttpFilter): MessageInitShape<typeof HttpFilterSchema> {
  switch (filter.kind) {
    case 'RequestHeaderModifier':
      return { filter: { case: 'requestHeaders', value: encodeModifier(filter.modifier) } }
    case 'ResponseHeaderModifier':
      return { filter: { case: 'responseHeaders', value: encodeModifier(filter.modifier) } }
    case 'RequestRedirect': {
      const { scheme = '', hostname = '', port = 0, statusCode } = filter
      const path = encodePath(filter.path)
      return { filter: { case: 'redirect', value: { scheme, hostname, port, statusCode, ...path } } }
    }
    case 'URLRewrite': {
      const { hostname = '' } = filter
      return { filter: { case: 'rewrite', value: { hostname, ...encodePath(filter.path) } } }
    }
    case 'RequestMirror': {
      const { backend, numerator, denominator } = filter
      const value = { backend: encodeTarget(backend), numerator, denominator }
      return { filter: { case: 'mirror', value } }
    }
    case 'Unsupported':
      return { filter: { case: 'unsupported', value: filter.reason } }
  }
}

type Modifier = Extract<HttpFilter, { kind: 'RequestHeaderModifier' }>['modifier']

function encodeModifier({ set, add, remove }: Modifier) {
  return { set: [...set], add: [...add], remove: [...remove] }
}

function encodePath(path: HttpPathModifier | undefined): {
  path?: MessageInitShape<typeof PathModifierSchema>
} {
  return path === undefined ? {} : { path: { modifier: { case: path.kind, value: path.value } } }
}

function encodeTarget(target: BackendTarget): MessageInitShape<typeof BackendTargetSchema> {
  if (target.kind === 'invalid') return { target: { case: 'invalid', value: target.reason } }
  return { target: { case: 'service', value: { service: target.service, port: target.port } } }
}
