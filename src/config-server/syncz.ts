import type { ConnectedProxy, SubscriptionStatus } from '../xds/index.ts'

/**
 * How a proxy stands, by `istioctl proxy-status`' words: SYNCED has accepted
 * all there is; STALE lacks something or has not answered; NOT SENT has got
 * nothing yet; REJECTED refused the last response, or a part of it.
 */
export type SyncState = 'SYNCED' | 'STALE' | 'NOT SENT' | 'REJECTED'

/** A connected proxy, for a person who looks for the one that is not up to date. Times are ISO 8601. */
export interface ProxySync {
  /** What it calls itself. */
  readonly proxy: string
  /** Whom its token proves it to be. */
  readonly account: string
  /** The node that its token is bound to. */
  readonly node: string | undefined
  readonly address: string
  readonly version: string
  readonly connectedAt: string
  /** The worst of its types' states. */
  readonly state: SyncState
  readonly types: readonly TypeSync[]
}

export interface TypeSync {
  readonly typeUrl: string
  readonly state: SyncState
  /** `all`, or how many names it asked for. */
  readonly subscribed: 'all' | number
  readonly nonceSent: string
  readonly nonceAcked: string
  readonly lastSentAt: string | undefined
  readonly lastAckAt: string | undefined
  readonly responses: number
  readonly acks: number
  readonly nacks: number
  readonly lastNack: { readonly at: string; readonly reason: string } | undefined
}

/** The body of `/debug/syncz`. */
export function syncz(proxies: readonly ConnectedProxy[]): readonly ProxySync[] {
  return proxies.map(({ nodeId, caller, address, version, connectedAt, types }) => {
    const typesSync = types.map(typeSync)
    return {
      proxy: nodeId,
      account: `${caller.id.namespace}/${caller.id.serviceAccount}`,
      node: caller.node,
      address,
      version,
      connectedAt: iso(connectedAt),
      state: WORST_FIRST.find((state) => typesSync.some((type) => type.state === state)) ?? 'NOT SENT',
      types: typesSync,
    }
  })
}

const WORST_FIRST: readonly SyncState[] = ['REJECTED', 'NOT SENT', 'STALE', 'SYNCED']

function typeSync(type: SubscriptionStatus): TypeSync {
  const { typeUrl, lastSentAt, lastAckAt, lastNack, responses, acks, nacks } = type
  return {
    typeUrl,
    state: stateOf(type),
    subscribed: type.wildcard ? 'all' : type.subscribedNames,
    nonceSent: type.lastNonce,
    nonceAcked: type.ackedNonce,
    lastSentAt: lastSentAt === undefined ? undefined : iso(lastSentAt),
    lastAckAt: lastAckAt === undefined ? undefined : iso(lastAckAt),
    responses,
    acks,
    nacks,
    lastNack: lastNack && { at: iso(lastNack.at), reason: lastNack.reason },
  }
}

function stateOf({ lastNonce, ackedNonce, awaitingAck, upToDate }: SubscriptionStatus): SyncState {
  if (lastNonce === '') return 'NOT SENT'
  if (awaitingAck) return 'STALE'
  if (ackedNonce !== lastNonce) return 'REJECTED'
  return upToDate ? 'SYNCED' : 'STALE'
}

function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString()
}
