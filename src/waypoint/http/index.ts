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
export { HttpUpstreamPool, type UpstreamPoolOptions } from './upstream-pool.ts'
