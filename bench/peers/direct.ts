import type { Peer } from './peer.ts'

/** No proxy at all: what the machine and its network can do. */
export const direct: Peer = {
  name: 'direct',
  title: 'direct',
  captured: false,
  tunnel: 'none',
  variants: ['normal'],
  prepare: async () => undefined,
  start: async () => [],
}
