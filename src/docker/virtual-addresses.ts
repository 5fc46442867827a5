import { createHash } from 'node:crypto'

/** A service's virtual addresses. */
export interface VirtualAddresses {
  readonly ipv4: string
  readonly ipv6: string
}

/** Blocks that Istio allocates ServiceEntries' addresses from: 240.240.0.0/16 and, of 2001:2::/48, as many. */
const SIZE = 0x1_0000

/**
 * Gives each name an address, by its hash: the same in every config server and after every restart, with nothing kept.
 * Where two names fall on one address, the one that comes first in order of name has it and the other moves on to the
 * next that is free; with 100 services one such pair is to be expected in 13 meshes. `taken` are addresses of others.
 */
export function allocateVirtualAddresses(
  names: Iterable<string>,
  taken: ReadonlySet<string>,
): ReadonlyMap<string, VirtualAddresses> {
  const allocated = new Map<string, VirtualAddresses>()
  const used = new Set<number>()
  for (const name of [...new Set(names)].sort()) {
    const start = createHash('sha256').update(name).digest().readUInt16BE(0)
    for (let step = 0; step < SIZE; step++) {
      const offset = (start + step) % SIZE
      const addresses = addressesAt(offset)
      // The block's own address and its last are left alone, as a network's and its broadcast's are.
      if (offset === 0 || offset === SIZE - 1 || used.has(offset)) continue
      if (taken.has(addresses.ipv4) || taken.has(addresses.ipv6)) continue
      used.add(offset)
      allocated.set(name, addresses)
      break
    }
  }
  return allocated
}

function addressesAt(offset: number): VirtualAddresses {
  return { ipv4: `240.240.${offset >> 8}.${offset & 0xff}`, ipv6: `2001:2::${offset.toString(16)}` }
}
