import type { Duplex } from 'node:stream'

type Encoding = BufferEncoding | undefined
type Done = ((error?: Error | null) => void) | undefined

/**
 * Makes a stream of HTTP/2 fit for HTTP/1 to be written to: strings become
 * bytes before they get there. What node:http writes, heads as strings and
 * bodies as buffers gathered in one `writev`, came out of Node 26.10's HTTP/2
 * over TLS with the first 16 bytes of the head overwritten, as if the memory
 * had been given back before it was sent. Buffers it keeps.
 */
export function withByteWrites<Stream extends Duplex>(stream: Stream): Stream {
  const write = stream.write.bind(stream) as (chunk: unknown, encoding: Encoding, done: Done) => boolean
  const end = stream.end.bind(stream) as (chunk: unknown, encoding: Encoding, done: Done) => Stream
  const ownWrite = (chunk: unknown, encoding?: unknown, done?: unknown): boolean =>
    write(bytes(chunk, encoding), undefined, callback(encoding, done))
  const ownEnd = (chunk?: unknown, encoding?: unknown, done?: unknown): Stream =>
    typeof chunk === 'function'
      ? end(undefined, undefined, chunk as Done)
      : end(bytes(chunk, encoding), undefined, callback(encoding, done))
  return Object.assign(stream, { write: ownWrite, end: ownEnd })
}

function bytes(chunk: unknown, encoding: unknown): unknown {
  if (typeof chunk !== 'string') return chunk
  return Buffer.from(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8')
}

/** The encoding may be left out. */
function callback(encoding: unknown, done: unknown): Done {
  return (typeof encoding === 'function' ? encoding : done) as Done
}
