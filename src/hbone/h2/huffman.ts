import { protocolError } from './errors.ts'

/**
 * Decodes a Huffman string of HPACK (RFC 7541 section 5.2). Throws when it
 * contains EOS, or ends in padding that is longer than seven bits or not all ones.
 */
export function decodeHuffman(bytes: Buffer, start: number, end: number, target: Buffer): number {
  /** Bits that were read and belong to no symbol yet: `count` of them, the last of `bits`. */
  let bits = 0
  let count = 0
  /** How far a symbol of more than eight bits has been followed. */
  let node = 0
  let depth = 0
  let ones = true
  let length = 0
  for (let at = start; at < end || count > 0; ) {
    if (count < 8 && at < end) {
      bits = ((bits & 0xff) << 8) | (bytes[at++] ?? 0)
      count += 8
    }
    const short = node === 0 && count >= 8 ? (SHORT[(bits >> (count - 8)) & 0xff] ?? 0) : 0
    if (short > 0) {
      target[length++] = short & 0xff
      count -= short >> 8
      continue
    }
    count--
    const one = (bits >> count) & 1
    const next = TREE[node * 2 + one] ?? 0
    node = Math.max(0, next)
    depth = next < 0 ? 0 : depth + 1
    ones = next < 0 || (ones && one === 1)
    if (next === EOS_LEAF) throw protocolError('COMPRESSION_ERROR', 'EOS in a Huffman string')
    if (next < 0) target[length++] = -next - 1
  }
  if (depth > 7 || !ones) throw protocolError('COMPRESSION_ERROR', 'bad padding of a Huffman string')
  return length
}

/** Bytes that a Huffman string of so many bytes can become: the shortest code has five bits. */
export function decodedBound(bytes: number): number {
  return Math.floor((bytes * 8) / 5)
}

/** How the tree says EOS, which is symbol 256. */
const EOS_LEAF = -257

/** Symbols by the length of their code; all others have 28 bits. */
const BY_LENGTH: Readonly<Record<number, readonly number[]>> = {
  5: [48, 49, 50, 97, 99, 101, 105, 111, 115, 116],
  6: [
    32, 37, 45, 46, 47, 51, 52, 53, 54, 55, 56, 57, 61, 65, 95, 98, 100, 102, 103, 104, 108, 109, 110, 112,
    114, 117,
  ],
  7: [
    58, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 89, 106, 107,
    113, 118, 119, 120, 121, 122,
  ],
  8: [38, 42, 44, 59, 88, 90],
  10: [33, 34, 40, 41, 63],
  11: [39, 43, 124],
  12: [35, 62],
  13: [0, 36, 64, 91, 93, 126],
  14: [94, 125],
  15: [60, 96, 123],
  19: [92, 195, 208],
  20: [128, 130, 131, 162, 184, 194, 224, 226],
  21: [153, 161, 167, 172, 176, 177, 179, 209, 216, 217, 227, 229, 230],
  22: [
    129, 132, 133, 134, 136, 146, 154, 156, 160, 163, 164, 169, 170, 173, 178, 181, 185, 186, 187, 189, 190,
    196, 198, 228, 232, 233,
  ],
  23: [
    1, 135, 137, 138, 139, 140, 141, 143, 147, 149, 150, 151, 152, 155, 157, 158, 165, 166, 168, 174, 175,
    180, 182, 183, 188, 191, 197, 231, 239,
  ],
  24: [9, 142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237],
  25: [199, 207, 234, 235],
  26: [192, 193, 200, 201, 202, 205, 210, 213, 218, 219, 238, 240, 242, 243, 255],
  27: [203, 204, 211, 212, 214, 221, 222, 223, 241, 244, 245, 246, 247, 248, 250, 251, 252, 253, 254],
  30: [10, 13, 22, 256],
}

/**
 * The lengths of the codes of RFC 7541 appendix B, in bits, from symbol 0 to
 * EOS. The code is canonical: symbols of one length have consecutive codes in
 * the order of their numbers, and so the lengths say all.
 */
const LENGTHS = parseLengths()

/** Two entries per inner node: a further node, or minus one minus the symbol. */
const TREE = buildTree()

/** By eight bits: the symbol whose code they begin with, and above it that code's length; 0 when it is longer. */
const SHORT = buildShort()

function parseLengths(): Uint8Array {
  const lengths = new Uint8Array(257).fill(28)
  for (const [bits, symbols] of Object.entries(BY_LENGTH)) {
    for (const symbol of symbols) lengths[symbol] = Number(bits)
  }
  return lengths
}

function buildTree(): Int16Array {
  const tree = new Int16Array(2 * 257)
  let nodes = 1
  let code = 0
  let before = 0
  const symbols = Array.from(LENGTHS.keys()).sort((a, b) => (LENGTHS[a] ?? 0) - (LENGTHS[b] ?? 0) || a - b)
  for (const symbol of symbols) {
    const bits = LENGTHS[symbol] ?? 0
    code = before === 0 ? 0 : (code + 1) * 2 ** (bits - before)
    before = bits
    let node = 0
    for (let bit = bits - 1; bit > 0; bit--) {
      const slot = node * 2 + ((code >>> bit) & 1)
      if (tree[slot] === 0) tree[slot] = nodes++
      node = tree[slot] ?? 0
    }
    tree[node * 2 + (code & 1)] = -symbol - 1
  }
  return tree
}

function buildShort(): Uint16Array {
  return Uint16Array.from({ length: 256 }, (_, bits) => {
    let node = 0
    for (let length = 1; length <= 8; length++) {
      const next = TREE[node * 2 + ((bits >> (8 - length)) & 1)] ?? 0
      if (next < 0) return (length << 8) | (-next - 1)
      node = next
    }
    return 0
  })
}
