import type { IncomingMessage } from 'node:http'
import { type CheckedRequest, checkRequest, type Refusal } from './check-request.ts'
import type { EffectiveLimits } from './limits.ts'

/**
 * What llhttp lets through and we do not: other versions than 1.0 and 1.1,
 * codings that we could not pass on (RFC 9112 section 6.1), two hosts.
 */
export function checkHttp1Request(
  message: IncomingMessage,
  limits: EffectiveLimits,
): CheckedRequest | Refusal {
  const { rawHeaders, httpVersion, method = '', url = '' } = message
  if (httpVersion !== '1.1' && httpVersion !== '1.0')
    return { status: 505, reason: 'neither HTTP/1.1 nor HTTP/1.0' }
  const coding = message.headers['transfer-encoding']
  if (coding !== undefined && httpVersion === '1.0')
    return { status: 400, reason: 'HTTP/1.0 has no transfer-encoding' }
  if (coding !== undefined && coding.toLowerCase() !== 'chunked')
    return { status: 501, reason: 'no transfer-encoding but chunked' }
  const absolute = ABSOLUTE_FORM.exec(url)
  const [, scheme = 'http', authority, path = ''] = absolute ?? []
  const length = message.headers['content-length']
  return checkRequest(
    {
      method,
      scheme: scheme.toLowerCase(),
      target: absolute === null ? url : absoluteTarget(method, path),
      authority,
      rawHeaders,
      hasBody: coding !== undefined || (length !== undefined && Number(length) > 0),
      needsHost: httpVersion === '1.1',
    },
    limits,
  )
}

/** Whether a request asks for the one protocol that we change to. Others, `h2c` among them, are not heard. */
export function websocketRequested(message: IncomingMessage): boolean {
  return message.httpVersion === '1.1' && message.headers.upgrade?.toLowerCase() === 'websocket'
}

/** RFC 9112 section 3.2.2. */
const ABSOLUTE_FORM = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#]*)(.*)$/s

/** RFC 9112 section 3.2.4: `OPTIONS http://host` asks about the server. */
function absoluteTarget(method: string, path: string): string {
  if (path === '') return method === 'OPTIONS' ? '*' : '/'
  return path.startsWith('?') ? `/${path}` : path
}
