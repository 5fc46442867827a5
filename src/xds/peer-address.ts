import { type ContextKey, createContextKey } from '@connectrpc/connect'

/** Where a call comes from, for an operator to read. A listener that knows it puts it into the call's context. */
export const peerAddress: ContextKey<string> = createContextKey('', {
  description: "the caller's IP address",
})
