/** One armoured block (RFC 7468), from its BEGIN line to its END line, ending in a newline. */
export interface PemBlock {
  /** `CERTIFICATE`, `PRIVATE KEY`, … */
  readonly label: string
  readonly pem: string
}

/**
 * The blocks of a PEM text in order; text around them is ignored, as is a block
 * that never ends. One pass without backtracking: the text may be a peer's.
 */
export function pemBlocks(text: string): PemBlock[] {
  const blocks: PemBlock[] = []
  let at = 0
  for (;;) {
    const begin = text.indexOf(BEGIN, at)
    if (begin === -1) return blocks
    const labelEnd = text.indexOf(DASHES, begin + BEGIN.length)
    if (labelEnd === -1) return blocks
    const label = text.slice(begin + BEGIN.length, labelEnd)
    const endLine = `-----END ${label}${DASHES}`
    const end = LABEL.test(label) ? text.indexOf(endLine, labelEnd) : -1
    if (end === -1) {
      at = labelEnd
      continue
    }
    blocks.push({ label, pem: `${text.slice(begin, end + endLine.length)}\n` })
    at = end + endLine.length
  }
}

/** The certificates of a PEM text, one PEM each. */
export function pemCertificates(text: string): string[] {
  return pemBlocks(text)
    .filter((block) => block.label === 'CERTIFICATE')
    .map((block) => block.pem)
}

/** The DER inside a block. What is not base64 is skipped; the ASN.1 parser judges the rest. */
export function pemToDer(block: PemBlock): Buffer<ArrayBuffer> {
  const base64 = block.pem.split('\n').slice(1, -2).join('')
  return Buffer.from(base64, 'base64')
}

const BEGIN = '-----BEGIN '
const DASHES = '-----'
/** RFC 7468 labels, bounded: the longest in use has 23 characters. */
const LABEL = /^[A-Z0-9 ]{1,40}$/
