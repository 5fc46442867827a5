import type { SessionLimits } from './h2/peer-budget.ts'
import type { SessionSettings } from './h2/session-settings.ts'

/** What an operator may change about the tunnels. All of it is optional; the defaults are Istio's. */
export interface HboneSettings {
  /** Receive window of one stream, bytes (HTTP2_STREAM_WINDOW_SIZE). Default 4 MiB. */
  readonly streamWindowSize?: number | undefined
  /** Receive window of one connection, bytes (HTTP2_CONNECTION_WINDOW_SIZE). Default 16 MiB. */
  readonly connectionWindowSize?: number | undefined
  /** Largest frame that a peer may send, bytes (HTTP2_FRAME_SIZE). Default 1 MiB. */
  readonly maxFrameSize?: number | undefined
  /** Streams that a client may have open on one connection to us. Default 200. */
  readonly maxConcurrentStreams?: number | undefined
  /** Pause between a PONG and the next PING, milliseconds. Default 10 s. */
  readonly pingIntervalMs?: number | undefined
  /** Without a PONG for so long the connection is dead, milliseconds. Default 20 s. */
  readonly pingTimeoutMs?: number | undefined
  /** For the TCP connect, milliseconds. Default 10 s. */
  readonly connectTimeoutMs?: number | undefined
  /** For TLS and the first SETTINGS of the peer together, milliseconds. Default 10 s. */
  readonly handshakeTimeoutMs?: number | undefined
  /** For the answer to a CONNECT, milliseconds. Default 30 s. */
  readonly responseTimeoutMs?: number | undefined
}

/**
 * ztunnel's HTTP2_STREAM_WINDOW_SIZE: bandwidth-delay product of 3 Gbit/s at 10 ms.
 *
 * It is also what a peer can make us hold for a tunnel whose reader is slow: the
 * connection's window is opened again for whatever arrives, so that one slow
 * stream does not stop the others, until `MAX_SESSION_MEMORY_MB` are held.
 */
export const STREAM_WINDOW_SIZE = 4 * 1024 * 1024
/** ztunnel's HTTP2_CONNECTION_WINDOW_SIZE: four streams at full speed. */
export const CONNECTION_WINDOW_SIZE = 16 * 1024 * 1024
/** ztunnel's HTTP2_FRAME_SIZE. What we send is as large as the peer allows, and one read at the most. */
export const MAX_FRAME_SIZE = 1024 * 1024
/** Bytes. An answer to CONNECT has a status and some baggage. */
export const CLIENT_MAX_HEADER_LIST_SIZE = 16_384
/** Bytes. Requests carry what clients of a gateway sent, too. */
export const SERVER_MAX_HEADER_LIST_SIZE = 65_536
/** Twice what a ztunnel opens on one connection. */
export const MAX_CONCURRENT_STREAMS = 200
/** As ztunnel and Envoy. */
export const PING_INTERVAL_MS = 10_000
/** As ztunnel and Envoy. */
export const PING_TIMEOUT_MS = 20_000
/** As ztunnel: a pod that does not answer SYN is gone, or a NetworkPolicy drops it. */
export const CONNECT_TIMEOUT_MS = 10_000
/** ztunnel has none; a peer that accepts and says nothing would hold the caller for ever. */
export const HANDSHAKE_TIMEOUT_MS = 10_000
/**
 * ztunnel has none. The peer answers after it has dialled the application, for
 * which it has 10 s, and a waypoint may have two hops to go.
 */
export const RESPONSE_TIMEOUT_MS = 30_000

/**
 * Unit MB. While more than this of one connection was received and is not
 * taken, its new streams are refused (ENHANCE_YOUR_CALM), and its window is not
 * opened again: 32 tunnels with a full window whose readers are all stuck.
 */
export const MAX_SESSION_MEMORY_MB = 128
/** Headers of one message; ten times what HBONE needs. */
export const MAX_HEADER_LIST_PAIRS = 128
/**
 * Streams refused over the life of a connection before it is closed. A client
 * that works at the limit is refused now and then, while its RST_STREAM and our
 * own cross: a small number would close a busy connection within hours.
 */
export const MAX_SESSION_REJECTED_STREAMS = 10_000
/**
 * RST_STREAM frames that a client may send at once, and per second from then
 * on (rapid reset, CVE-2023-44487). Every application that drops a connection
 * costs one, so a small number would cut honest tunnels under load; a
 * thousand are no more work than a thousand connections.
 */
export const STREAM_RESET_BURST = 4000
export const STREAM_RESET_RATE = 1000

/** What we say of ourselves on a connection that we open. */
export function clientSettings(settings: HboneSettings): SessionSettings {
  return {
    enablePush: false,
    maxConcurrentStreams: Number.POSITIVE_INFINITY,
    initialWindowSize: settings.streamWindowSize ?? STREAM_WINDOW_SIZE,
    maxFrameSize: settings.maxFrameSize ?? MAX_FRAME_SIZE,
    maxHeaderListSize: CLIENT_MAX_HEADER_LIST_SIZE,
  }
}

/** What we say of ourselves on a connection that a client opens to us. */
export function serverSettings(settings: HboneSettings): SessionSettings {
  return {
    maxConcurrentStreams: settings.maxConcurrentStreams ?? MAX_CONCURRENT_STREAMS,
    initialWindowSize: settings.streamWindowSize ?? STREAM_WINDOW_SIZE,
    maxFrameSize: settings.maxFrameSize ?? MAX_FRAME_SIZE,
    maxHeaderListSize: SERVER_MAX_HEADER_LIST_SIZE,
  }
}

/** What any peer may make a connection hold or do. */
export const SESSION_LIMITS: SessionLimits = {
  maxHeaderListPairs: MAX_HEADER_LIST_PAIRS,
  maxHeldBytes: MAX_SESSION_MEMORY_MB * 1_000_000,
  maxRejectedStreams: MAX_SESSION_REJECTED_STREAMS,
  resetBurst: STREAM_RESET_BURST,
  resetRate: STREAM_RESET_RATE,
}
