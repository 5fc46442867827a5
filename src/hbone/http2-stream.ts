import type { Http2Stream, ServerHttp2Stream } from 'node:http2'
import type { Duplex } from 'node:stream'

/** Whether a duplex is an HTTP/2 stream. `node:http2` exports no class to ask by. */
export function isHttp2Stream(stream: Duplex): stream is Http2Stream {
  return 'rstCode' in stream && 'sentHeaders' in stream
}

/** Whether we are the server of this HTTP/2 stream. */
export function isServerStream(stream: Http2Stream): stream is ServerHttp2Stream {
  return 'respond' in stream
}
