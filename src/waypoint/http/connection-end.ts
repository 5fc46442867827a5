import { constants, type Http2Stream } from 'node:http2'
import type { Duplex } from 'node:stream'

/**
 * Cuts a stream off at once, so that the other side can tell it from an end:
 * RST_STREAM where it is a stream of HTTP/2, and else a closed connection.
 */
export function abandon(stream: Duplex): void {
  if (stream.destroyed) return
  if (isHttp2Stream(stream)) stream.close(constants.NGHTTP2_CANCEL)
  stream.destroy()
}

function isHttp2Stream(stream: Duplex): stream is Http2Stream {
  return 'rstCode' in stream && 'sentHeaders' in stream
}
