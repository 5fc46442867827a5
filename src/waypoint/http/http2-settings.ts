import type { ServerSessionOptions, SessionOptions } from 'node:http2'
import type { EffectiveLimits } from './limits.ts'

/**
 * Receive window of one stream, bytes. What one side can make us hold while
 * the other is slow; at 10 ms round trip it is some 200 Mbit/s for one body.
 */
export const STREAM_WINDOW_BYTES = 256 * 1024
/** Unit MB. What one session may hold before its new streams are refused: 100 streams with a full window. */
export const SESSION_MEMORY_MB = 64
/** Header fields of an upstream's answer, and of its trailers. */
export const MAX_UPSTREAM_HEADERS = 1000
/** Bytes of an upstream's header list. As large as Envoy takes from its upstreams. */
export const MAX_UPSTREAM_HEADER_SIZE = 60 * 1024
/** SETTINGS in one frame; there are ten in the registry. */
export const MAX_SETTINGS = 32
/** Malformed frames that we bear over the life of a session; a sane peer sends none. */
export const MAX_INVALID_FRAMES = 100
/**
 * RST_STREAM frames that a client may send at once, and per second from then
 * on (rapid reset, CVE-2023-44487). A client that gives up requests sends one
 * for each, so these are more than an honest one has use for, and little work.
 */
export const CLIENT_RESET_BURST = 1000
export const CLIENT_RESET_RATE = 100

export function upstreamSessionOptions(): SessionOptions {
  return {
    settings: {
      enablePush: false,
      initialWindowSize: STREAM_WINDOW_BYTES,
      maxHeaderListSize: MAX_UPSTREAM_HEADER_SIZE,
    },
    maxHeaderListPairs: MAX_UPSTREAM_HEADERS,
    maxSessionMemory: SESSION_MEMORY_MB,
    maxSettings: MAX_SETTINGS,
    ...REPEATABLE,
  }
}

export function clientSessionOptions(limits: EffectiveLimits): ServerSessionOptions {
  return {
    settings: {
      initialWindowSize: STREAM_WINDOW_BYTES,
      maxHeaderListSize: limits.maxHeaderBytes,
      maxConcurrentStreams: limits.maxConcurrentStreams,
    },
    // Node refuses whoever sends more without a word; up to twice as many get 431.
    maxHeaderListPairs: limits.maxHeaders * 2,
    maxSessionMemory: SESSION_MEMORY_MB,
    maxSettings: MAX_SETTINGS,
    ...REPEATABLE,
    maxSessionInvalidFrames: MAX_INVALID_FRAMES,
    streamResetBurst: CLIENT_RESET_BURST,
    streamResetRate: CLIENT_RESET_RATE,
  }
}

/** What comes twice goes on twice; Node would throw where it is sent. Its types do not have this option. */
const REPEATABLE: object = { strictSingleValueFields: false }
