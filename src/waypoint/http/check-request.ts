import { randomUUID } from 'node:crypto'
import type { HttpRequestHead } from '../../mesh/http/request.ts'
import type { BodyFraming } from './downstream.ts'
import { connectionNames, endToEndFields } from './header-fields.ts'
import type { EffectiveLimits } from './limits.ts'
import { authorityProblem, checkPath } from './request-target.ts'

/** What a parser has made of a request, HTTP/1 or HTTP/2. */
export interface RawRequest {
  readonly method: string
  readonly scheme: string
  /** In origin form, or `*`. */
  readonly target: string
  /** From the request line or `:authority`; undefined without. */
  readonly authority: string | undefined
  /** Names in any case, pseudo-headers included. */
  readonly rawHeaders: readonly string[]
  readonly hasBody: boolean
  /** HTTP/1.0 is excused from `host`. */
  readonly needsHost: boolean
}

/** A request that may be routed. */
export interface CheckedRequest {
  readonly head: HttpRequestHead
  readonly framing: BodyFraming
  readonly expectsContinue: boolean
}

/** A request that is answered at once. */
export interface Refusal {
  readonly status: number
  readonly reason: string
}

export function isRefusal(checked: CheckedRequest | Refusal): checked is Refusal {
  return 'reason' in checked
}

/** What both versions of HTTP are checked for, beyond what llhttp and nghttp2 refuse by themselves. */
export function checkRequest(raw: RawRequest, limits: EffectiveLimits): CheckedRequest | Refusal {
  const { rawHeaders, method, scheme } = raw
  if (rawHeaders.length / 2 > limits.maxHeaders)
    return { status: 431, reason: `more than ${limits.maxHeaders} header fields` }
  if (raw.target.length > limits.maxTargetBytes)
    return { status: 414, reason: `request target longer than ${limits.maxTargetBytes} bytes` }
  if (method === 'CONNECT') return { status: 501, reason: 'CONNECT is for the tunnel, not for what is in it' }
  if (scheme !== 'http' && scheme !== 'https')
    return { status: 400, reason: 'the scheme is neither http nor https' }
  const authority = checkAuthority(raw)
  if (typeof authority !== 'string') return authority
  const target = method === 'OPTIONS' && raw.target === '*' ? { path: '*' } : checkPath(raw.target)
  if ('problem' in target) return { status: 400, reason: target.problem }
  const fields = readFields(rawHeaders)
  if ('reason' in fields) return fields
  if (fields.contentLength !== undefined && fields.contentLength > limits.maxBodyBytes)
    return { status: 413, reason: `body of more than ${limits.maxBodyBytes} bytes` }
  const headers = endToEndFields(rawHeaders, ENGINE_FIELDS)
  if (!fields.hasRequestId) headers.push('x-request-id', randomUUID())
  if (!fields.hasForwardedProto) headers.push('x-forwarded-proto', scheme)
  if (fields.contentLength !== undefined) headers.push('content-length', String(fields.contentLength))
  return {
    head: { method, scheme, authority, path: target.path, headers },
    framing: { hasBody: raw.hasBody, contentLength: fields.contentLength, mayHaveTrailers: true },
    expectsContinue: fields.expect !== undefined && raw.hasBody,
  }
}

/** Put back by whoever sends the request on. */
const ENGINE_FIELDS: ReadonlySet<string> = new Set(['host', 'expect', 'content-length'])

/** What a client cannot take out of its request by naming it in `connection`: routing and framing hang on it. */
const NEVER_HOP_BY_HOP = ['host', 'content-length', 'transfer-encoding', 'x-request-id', 'x-forwarded-proto']

interface Fields {
  readonly contentLength: number | undefined
  readonly expect: string | undefined
  readonly hasRequestId: boolean
  readonly hasForwardedProto: boolean
}

function checkAuthority({ authority, rawHeaders, needsHost }: RawRequest): string | Refusal {
  let host: string | undefined
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? ''
    if (name.length !== 4 || name.toLowerCase() !== 'host') continue
    if (host !== undefined) return { status: 400, reason: 'more than one host' }
    host = rawHeaders[index + 1] ?? ''
  }
  if (authority !== undefined && host !== undefined && authority.toLowerCase() !== host.toLowerCase())
    return { status: 400, reason: 'the authority and host are not the same' }
  const found = authority ?? host
  if (found === undefined) return needsHost ? { status: 400, reason: 'no host' } : ''
  const problem = authorityProblem(found)
  return problem === undefined ? found : { status: 400, reason: problem }
}

function readFields(rawHeaders: readonly string[]): Fields | Refusal {
  let contentLength: number | undefined
  let expect: string | undefined
  let hasRequestId = false
  let hasForwardedProto = false
  for (let index = 0; index < rawHeaders.length; index += 2) {
    switch ((rawHeaders[index] ?? '').toLowerCase()) {
      case 'content-length':
        // The parsers have seen to it that there is one at most, and that it is digits.
        contentLength = Number(rawHeaders[index + 1])
        break
      case 'expect':
        expect = (rawHeaders[index + 1] ?? '').toLowerCase()
        break
      case 'x-request-id':
        hasRequestId = true
        break
      case 'x-forwarded-proto':
        hasForwardedProto = true
        break
    }
  }
  if (contentLength !== undefined && !Number.isSafeInteger(contentLength))
    return { status: 400, reason: 'content-length is no number that we can count to' }
  if (expect !== undefined && expect !== '100-continue')
    return { status: 417, reason: 'only 100-continue may be expected' }
  const named = connectionNames(rawHeaders)
  const abused = NEVER_HOP_BY_HOP.find((name) => named.has(name))
  if (abused !== undefined) return { status: 400, reason: `connection must not name ${abused}` }
  return { contentLength, expect, hasRequestId, hasForwardedProto }
}
