/** One armoured block (RFC 7468), from its BEGIN line to its END line, ending in a newline. */
export interface PemBlock {
  /** `CERTIFICATE`, `PRIVATE KEY`, … */
  readonly label: string
  readonly pem: string
}

/**
 * The blocks of a PEM text in order; text around them is ignored, as is a block
 * that does not end before another begins. The text may be a peer's: each
 * search goes on where the last one ended, so that time stays linear.
 */
export function pemBlocks(text: string): PemBlock[] {
  const blocks: PemBlock[] = []
  let end = text.indexOf(END)
  for (let begin = text.indexOf(BEGIN); begin !== -1; ) {
    const next = text.indexOf(BEGIN, begin + BEGIN.length)
    if (end !== -1 && end < begin) end = text.indexOf(END, begin)
    if (end === -1) break
    const labelEnd = text.indexOf(DASHES, begin + BEGIN.length)
    const label = text.slice(begin + BEGIN.length, labelEnd)
    const endLine = `${END}${label}${DASHES}`
    const isWhole = (next === -1 || end < next) && labelEnd < end && text.startsWith(endLine, end)
    if (isWhole && LABEL.test(label))
      blocks.push({ label, pem: `${text.slice(begin, end + endLine.length)}\n` })
    begin = next
  }
  return blocks
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

/** DER as one block with lines of 64 characters, which is what every parser takes, and a newline at the end. */
export function derToPem(der: Uint8Array, label: string): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `${BEGIN}${label}${DASHES}\n${lines.join('\n')}\n${END}${label}${DASHES}\n`
}

const BEGIN = '-----BEGIN '
const END = '-----END '
const DASHES = '-----'
/** RFC 7468 labels, bounded: the longest in use has 23 characters. */
const LABEL = /^[A-Z0-9 ]{1,40}$/
