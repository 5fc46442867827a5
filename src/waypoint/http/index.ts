export type {
  ForwardOptions,
  ForwardResult,
  ForwardTarget,
  HttpExchange,
  HttpProtocol,
  HttpResponseHead,
  MirrorOptions,
  ResponseFlag,
  RetryOptions,
} from './exchange.ts'
export type { HttpLimits } from './limits.ts'
export { type ServeHttpOptions, serveHttp } from './serve.ts'
export { SNIFF_BYTES, type Sniffed, sniffProtocol } from './sniff.ts'
export { readFirstBytes } from './sniff-stream.ts'
export type { UpstreamPoolOptions } from './upstream-bounds.ts'
export { HttpUpstreamPool } from './upstream-pool.ts'
