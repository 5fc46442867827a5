/**
 * What a certificate request needs of DER (X.690), to write it: each function
 * returns one element, tag and length included.
 */

/** BOOLEAN true. */
export const TRUE: Uint8Array = Uint8Array.of(0x01, 0x01, 0xff)

export function sequence(...parts: readonly Uint8Array[]): Buffer {
  return element(0x30, Buffer.concat(parts))
}

/** Of one element: several would have to be sorted. */
export function set(part: Uint8Array): Buffer {
  return element(0x31, part)
}

/** 0 to 127. */
export function integer(value: number): Buffer {
  return element(0x02, Uint8Array.of(value))
}

export function octetString(content: Uint8Array): Buffer {
  return element(0x04, content)
}

/** Of whole octets. */
export function bitString(content: Uint8Array): Buffer {
  return element(0x03, Buffer.concat([Uint8Array.of(0), content]))
}

/** `[tag]`: in place of another tag around a primitive value, or around whole elements. */
export function contextTag(tag: number, content: Uint8Array, form: 'primitive' | 'constructed'): Buffer {
  return element((form === 'primitive' ? 0x80 : 0xa0) | tag, content)
}

/** An object identifier by its arcs. */
export function objectId(first: number, second: number, ...rest: readonly number[]): Buffer {
  return element(0x06, Uint8Array.from([first * 40 + second, ...rest.flatMap(base128)]))
}

function element(tag: number, content: Uint8Array): Buffer {
  return Buffer.concat([Uint8Array.from([tag, ...lengthOctets(content.length)]), content])
}

function lengthOctets(length: number): number[] {
  if (length < 0x80) return [length]
  if (length < 0x100) return [0x81, length]
  return [0x82, length >> 8, length & 0xff]
}

/** Seven bits each, the most significant first; all but the last have the top bit set. */
function base128(arc: number): number[] {
  const octets = [arc & 0x7f]
  for (let rest = arc >> 7; rest > 0; rest >>= 7) octets.unshift((rest & 0x7f) | 0x80)
  return octets
}
