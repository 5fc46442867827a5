import type { RouteStep } from '../route.ts'
import { applyHeaderModifier } from './header-modifier.ts'
import { isBelow, replacePrefix } from './path-prefix.ts'
import { type HttpHeaders, type HttpRequestHead, splitPath } from './request.ts'
import type { BackendTarget, HttpFilter, HttpPathModifier, HttpRouteMatch } from './route-model.ts'

export interface FilterInput {
  readonly head: HttpRequestHead
  /** By which the request came to these filters: what a prefix is replaced in. */
  readonly match: HttpRouteMatch
  /** That the client asked for: where a redirect leads that names no other. */
  readonly port: number
  /** 0 ≤ x < 1. */
  readonly random: () => number
}

/** What filters make of a request. Steps: `filter`, one for each that had an effect. */
export type FilteredRequest =
  | {
      readonly kind: 'continue'
      readonly head: HttpRequestHead
      /** Where copies of the request go, as it is at that point; invalid ones are left out. */
      readonly mirrors: readonly MirroredRequest[]
      readonly steps: readonly RouteStep[]
    }
  /** To be answered at once: a redirect, or 500 for a filter that cannot be applied. */
  | {
      readonly kind: 'respond'
      readonly status: number
      /** Of a redirect. */
      readonly location: string | undefined
      /** Of filters before the one that answers. */
      readonly mirrors: readonly MirroredRequest[]
      readonly steps: readonly RouteStep[]
    }

export interface MirroredRequest {
  readonly head: HttpRequestHead
  readonly target: Extract<BackendTarget, { kind: 'service' }>
}

/** Applies the filters to a request in their order. Pure but for `random`. */
export function filterRequest(filters: readonly HttpFilter[], input: FilterInput): FilteredRequest {
  const steps: RouteStep[] = []
  const mirrors: MirroredRequest[] = []
  let { head } = input
  for (const filter of filters) {
    switch (filter.kind) {
      case 'RequestHeaderModifier':
        head = modifyRequest(head, filter.modifier)
        steps.push(note('request headers changed'))
        break
      case 'URLRewrite':
        head = rewrite(head, filter, input.match)
        steps.push(note(`rewritten to ${head.authority}${head.path}`))
        break
      case 'RequestMirror':
        if (input.random() * filter.denominator >= filter.numerator) break
        steps.push(note(mirrorDetail(filter.backend)))
        if (filter.backend.kind === 'service') mirrors.push({ head, target: filter.backend })
        break
      case 'RequestRedirect': {
        const location = locationOf(head, filter, input)
        steps.push(note(`redirected to ${location}, status ${filter.statusCode}`))
        return { kind: 'respond', status: filter.statusCode, location, mirrors, steps }
      }
      case 'Unsupported':
        steps.push(note(`${filter.reason}: 500`))
        return { kind: 'respond', status: 500, location: undefined, mirrors, steps }
      case 'ResponseHeaderModifier':
        break
    }
  }
  return { kind: 'continue', head, mirrors, steps }
}

/** Applies the filters to a response's headers in their order. */
export function filterResponse(filters: readonly HttpFilter[], headers: HttpHeaders): HttpHeaders {
  let filtered = headers
  for (const filter of filters) {
    if (filter.kind === 'ResponseHeaderModifier') filtered = applyHeaderModifier(filtered, filter.modifier)
  }
  return filtered
}

const WELL_KNOWN_PORTS = { http: 80, https: 443 } as const

type Redirect = Extract<HttpFilter, { kind: 'RequestRedirect' }>
type Rewrite = Extract<HttpFilter, { kind: 'URLRewrite' }>
type RequestModifier = Extract<HttpFilter, { kind: 'RequestHeaderModifier' }>['modifier']

/** `Host` is not among the headers: HTTP/2 has it in `:authority`. */
function modifyRequest(head: HttpRequestHead, modifier: RequestModifier): HttpRequestHead {
  const host = modifier.set.find(({ name }) => name === 'host')
  const { set } = modifier
  const others = host === undefined ? modifier : { ...modifier, set: set.filter((field) => field !== host) }
  const headers = applyHeaderModifier(head.headers, others)
  if (host === undefined) return { ...head, headers }
  return { ...withHost(head, host.value), headers: applyHostHeader(headers, host.value) }
}

function rewrite(head: HttpRequestHead, { hostname, path }: Rewrite, match: HttpRouteMatch): HttpRequestHead {
  const renamed = hostname === undefined ? head : withHost(head, hostname)
  const headers = hostname === undefined ? head.headers : applyHostHeader(head.headers, hostname)
  return { ...renamed, headers, path: modifyPath(head.path, path, match) }
}

function withHost(head: HttpRequestHead, authority: string): HttpRequestHead {
  return { ...head, authority }
}

/** Two that say different hosts would be read by some as the one, by others as the other. */
function applyHostHeader(headers: HttpHeaders, value: string): HttpHeaders {
  if (!headers.some((name, index) => index % 2 === 0 && name === 'host')) return headers
  return applyHeaderModifier(headers, { set: [{ name: 'host', value }], add: [], remove: [] })
}

/** The query stays, unless the replacement brings its own. */
function modifyPath(target: string, modifier: HttpPathModifier | undefined, match: HttpRouteMatch): string {
  if (modifier === undefined) return target
  const { path, query } = splitPath(target)
  const changed =
    modifier.kind === 'full' ? modifier.value : withPrefixReplaced(path, match.path, modifier.value)
  const absolute = changed.startsWith('/') ? changed : `/${changed}`
  return query === undefined || absolute.includes('?') ? absolute : `${absolute}?${query}`
}

/** A path that an earlier filter changed may no longer have the prefix. */
function withPrefixReplaced(path: string, { kind, value }: HttpRouteMatch['path'], by: string): string {
  return kind === 'prefix' && isBelow(path, value) ? replacePrefix(path, value, by) : path
}

function locationOf(head: HttpRequestHead, redirect: Redirect, { match, port }: FilterInput): string {
  const scheme = redirect.scheme ?? head.scheme
  const hostname = redirect.hostname ?? hostnameOf(head.authority)
  const target = redirect.port ?? (redirect.scheme === undefined ? port : WELL_KNOWN_PORTS[scheme])
  const suffix = target === WELL_KNOWN_PORTS[scheme] ? '' : `:${target}`
  return `${scheme}://${hostname}${suffix}${modifyPath(head.path, redirect.path, match)}`
}

/** As sent, without the port. */
function hostnameOf(authority: string): string {
  return authority.replace(/:\d*$/, '')
}

function mirrorDetail(backend: BackendTarget): string {
  return backend.kind === 'service'
    ? `mirrored to ${backend.service} port ${backend.port}`
    : `not mirrored: ${backend.reason}`
}

function note(detail: string): RouteStep {
  return { step: 'filter', detail }
}
