import { type AddressWords, type Cidr, cidrContains, parseCidr } from './addresses.ts'
import type { StringMatch } from './model.ts'

/** Whether any of the values matches. */
export function hitsText(values: readonly StringMatch[], text: string): boolean {
  for (const match of values) if (matchesText(match, text)) return true
  return false
}

/** Exact, prefix, suffix; presence is text that is not empty (wire/ztunnel 8.7). */
export function matchesText(match: StringMatch, text: string): boolean {
  switch (match.kind) {
    case 'exact':
      return text === match.value
    case 'prefix':
      return text.startsWith(match.value)
    case 'suffix':
      return text.endsWith(match.value)
    case 'presence':
      return text !== ''
  }
}

/** Whether any of the blocks holds an address; none holds what is no address. */
export function hitsAddress(values: readonly Cidr[], address: AddressWords | undefined): boolean {
  if (address === undefined) return false
  for (const cidr of values) if (cidrContains(cidr, address)) return true
  return false
}

/** Text that is no block is dropped, as Istio does; the match may be left empty by it and then never matches (wire/ztunnel 8.7, 8.8). */
export function blocks(texts: readonly string[]): readonly Cidr[] {
  return texts.map(parseCidr).filter((cidr) => cidr !== undefined)
}
