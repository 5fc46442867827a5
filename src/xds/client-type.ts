import type { DeltaSubscription } from './delta-subscription.ts'
import type { ResourceTable } from './resource-table.ts'

/** One type of one client, for `status`. Times are milliseconds since the epoch. */
export interface SubscriptionStatus {
  readonly typeUrl: string
  readonly wildcard: boolean
  readonly subscribedNames: number
  readonly responses: number
  readonly lastSentAt: number | undefined
  readonly acks: number
  readonly lastAckAt: number | undefined
  readonly nacks: number
  readonly lastNack: { readonly at: number; readonly reason: string } | undefined
  /** Of the last response, and of the last that was accepted as a whole; empty for none. */
  readonly lastNonce: string
  readonly ackedNonce: string
  /** Whether there is nothing that it should have and was not sent. */
  readonly upToDate: boolean
  /** Whether the last response is still unanswered. */
  readonly awaitingAck: boolean
}

/** One type on one stream. */
export interface ClientType {
  readonly typeUrl: string
  readonly table: ResourceTable
  readonly subscription: DeltaSubscription
  lastNonce: string
  ackedNonce: string
  /** Of the response that the client has not answered yet; empty for none. */
  awaitingNonce: string
  /**
   * The HTTP library keeps the last response of a stream until there is
   * another. A whole mesh, tens of megabytes for each proxy, is therefore
   * followed by an empty response as soon as it is answered.
   */
  after: 'whole mesh' | 'answered' | undefined
  responses: number
  lastSentAt: number | undefined
  acks: number
  lastAckAt: number | undefined
  nacks: number
  lastNack: { readonly at: number; readonly reason: string } | undefined
}

/** From this many on, all of a type are encoded once for all who need them. Entries. */
export const WHOLE_MESH_RESOURCES = 1_000

/** Whether the next response is all of a large table. */
export function isWholeMesh({ subscription, table }: ClientType): boolean {
  return table.resources.size >= WHOLE_MESH_RESOURCES && subscription.needsEverything
}

/** Whether the client has been sent all that it should have. */
export function isUpToDate({ subscription, table }: ClientType): boolean {
  return !subscription.isBehind(table) && !subscription.withholds
}

/** Before anything was sent. */
export function newClientType(
  typeUrl: string,
  table: ResourceTable,
  subscription: DeltaSubscription,
): ClientType {
  return {
    typeUrl,
    table,
    subscription,
    lastNonce: '',
    ackedNonce: '',
    awaitingNonce: '',
    after: undefined,
    responses: 0,
    lastSentAt: undefined,
    acks: 0,
    lastAckAt: undefined,
    nacks: 0,
    lastNack: undefined,
  }
}

/** For `status`. */
export function statusOf(type: ClientType): SubscriptionStatus {
  return {
    typeUrl: type.typeUrl,
    wildcard: type.subscription.wildcard,
    subscribedNames: type.subscription.subscribedNames,
    responses: type.responses,
    lastSentAt: type.lastSentAt,
    acks: type.acks,
    lastAckAt: type.lastAckAt,
    nacks: type.nacks,
    lastNack: type.lastNack,
    lastNonce: type.lastNonce,
    ackedNonce: type.ackedNonce,
    upToDate: isUpToDate(type),
    awaitingAck: type.awaitingNonce !== '',
  }
}
