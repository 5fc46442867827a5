/**
 * Header fields as they came: name, value, name, value, and so on. Names are
 * in lower case; order and repetition are kept, since both mean something
 * (RFC 9110 section 5.3). Pseudo-headers of HTTP/2 are not among them.
 */
export type HttpHeaders = readonly string[]

/** What routing and policy look at of a request: all but its body. */
export interface HttpRequestHead {
  /** Case counts (RFC 9110 section 9.1): `GET`. */
  readonly method: string
  readonly scheme: 'http' | 'https'
  /** `:authority` or `Host` as sent, with the port if it has one; empty if the client sent none. */
  readonly authority: string
  /** With the query, as sent: `/a?b=1`. `*` for an OPTIONS that asks about the server. */
  readonly path: string
  readonly headers: HttpHeaders
}

/** All values of one header, in order. `name` is in lower case. */
export function headerValues(headers: HttpHeaders, name: string): readonly string[] {
  const values: string[] = []
  for (let index = 0; index + 1 < headers.length; index += 2) {
    if (headers[index] === name) values.push(headers[index + 1] ?? '')
  }
  return values
}

/**
 * One value that says the same as all of them: joined by commas (RFC 9110
 * section 5.2), cookies by semicolons (RFC 9113 section 8.2.3). Undefined
 * without any. `name` is in lower case.
 */
export function headerValue(headers: HttpHeaders, name: string): string | undefined {
  const values = headerValues(headers, name)
  if (values.length <= 1) return values[0]
  return values.join(name === 'cookie' ? '; ' : ',')
}

/** The path up to the first `?`, and what follows that; `query` is undefined without a `?`. */
export function splitPath(target: string): { readonly path: string; readonly query: string | undefined } {
  const mark = target.indexOf('?')
  if (mark < 0) return { path: target, query: undefined }
  return { path: target.slice(0, mark), query: target.slice(mark + 1) }
}

/** The host of an authority, in lower case, without port, and without a final dot; brackets stay. */
export function hostOf(authority: string): string {
  const host = authority.replace(/:\d*$/, '').toLowerCase()
  return host.endsWith('.') ? host.slice(0, -1) : host
}
