import { type DecodedPacket, decode } from 'dns-packet'
import { canonicalName } from './names.ts'

/** A question that may be answered. */
export interface Query {
  readonly id: number
  /** The header's second word: which bits the client set. */
  readonly flags: number
  /** In lower case, without the final dot. */
  readonly name: string
  /** Number of the record type: 1 is A, 28 is AAAA. */
  readonly type: number
  /** `a`, `aaaa`, `srv`; `unknown` for what has no name here. */
  readonly typeName: string
  readonly internet: boolean
  /** The question section as it came, for the reply: clients compare it to the bit (draft-vixie-dnsext-dns0x20). */
  readonly question: Uint8Array
  readonly edns: Edns | undefined
}

/** What a client says of itself in its OPT record (RFC 6891 6.1.2). */
export interface Edns {
  readonly payloadSize: number
  readonly version: number
  readonly dnssecOk: boolean
}

/** What came in. */
export type Incoming =
  | { readonly kind: 'query'; readonly query: Query }
  /** To be refused with `rcode`; `response` when it claims to be an answer itself. */
  | {
      readonly kind: 'refused'
      readonly rcode: typeof FORMERR | typeof NOTIMP
      readonly id: number
      readonly flags: number
      readonly response: boolean
    }
  /** Not even a header: there is nobody to answer. */
  | { readonly kind: 'garbage' }

/** RFC 1035 4.1.1. */
export const NOERROR = 0
export const FORMERR = 1
export const SERVFAIL = 2
export const NXDOMAIN = 3
export const NOTIMP = 4

export const TYPE_A = 1
export const TYPE_AAAA = 28
export const HEADER_BYTES = 12

/** Bits of the header's second word. */
export const FLAG_RESPONSE = 0x8000
export const FLAG_AUTHORITATIVE = 0x0400
export const FLAG_TRUNCATED = 0x0200
export const FLAG_RECURSION_DESIRED = 0x0100
export const FLAG_RECURSION_AVAILABLE = 0x0080
export const OPCODE_MASK = 0x7800
export const RCODE_MASK = 0x000f

const CLASS_IN = 1
const TYPE_OPT = 41
const DNSSEC_OK = 0x8000

/** Types that dns-packet has no names for and that every browser asks for (RFC 9460). */
const MORE_TYPES: Readonly<Record<number, string>> = { 64: 'svcb', 65: 'https' }

/** Reads what a client sent. Never throws; costs no more than the first name, however long the message is. */
export function decodeQuery(bytes: Buffer): Incoming {
  if (bytes.length < HEADER_BYTES) return { kind: 'garbage' }
  const id = bytes.readUInt16BE(0)
  const flags = bytes.readUInt16BE(2)
  const refused = (rcode: typeof FORMERR | typeof NOTIMP, response = false): Incoming => ({
    kind: 'refused',
    rcode,
    id,
    flags,
    response,
  })
  if ((flags & FLAG_RESPONSE) !== 0) return refused(FORMERR, true)
  if ((flags & OPCODE_MASK) !== 0) return refused(NOTIMP)
  if (bytes.readUInt16BE(4) !== 1) return refused(FORMERR)
  const question = decodeQuestion(bytes)
  if (question === undefined) return refused(FORMERR)
  const edns = decodeEdns(bytes, question.end)
  return { kind: 'query', query: { id, flags, ...question.fields, edns } }
}

/** What decode finds when the message says that there is nothing but one question: the rest costs nothing then. */
function decodeQuestion(
  bytes: Buffer,
): { fields: Pick<Query, 'name' | 'type' | 'typeName' | 'internet' | 'question'>; end: number } | undefined {
  const alone = Buffer.from(bytes.subarray(0, HEADER_BYTES + MAX_QUESTION_BYTES))
  alone.fill(0, 6, HEADER_BYTES)
  let packet: DecodedPacket
  try {
    packet = decode(alone)
  } catch {
    return undefined
  }
  const [question] = packet.questions ?? []
  if (question === undefined) return undefined
  const end = decode.bytes
  const type = bytes.readUInt16BE(end - 4)
  return {
    fields: {
      name: canonicalName(question.name),
      type,
      typeName: typeName(type, question.type),
      internet: bytes.readUInt16BE(end - 2) === CLASS_IN,
      question: bytes.subarray(HEADER_BYTES, end),
    },
    end,
  }
}

/** A name, a type and a class (RFC 1035 3.1, 4.1.2). */
const MAX_QUESTION_BYTES = 255 + 4

/** Looked for where every resolver puts it: as the first record after the question, with the root as its name. */
function decodeEdns(bytes: Buffer, at: number): Edns | undefined {
  const [answers, authorities, additionals] = [6, 8, 10].map((offset) => bytes.readUInt16BE(offset))
  if (answers !== 0 || authorities !== 0 || additionals === 0) return undefined
  if (bytes.length < at + OPT_BYTES || bytes[at] !== 0 || bytes.readUInt16BE(at + 1) !== TYPE_OPT)
    return undefined
  return {
    payloadSize: bytes.readUInt16BE(at + 3),
    version: bytes.readUInt8(at + 6),
    dnssecOk: (bytes.readUInt16BE(at + 7) & DNSSEC_OK) !== 0,
  }
}

/** An OPT record without options. */
export const OPT_BYTES = 11

function typeName(type: number, decoded: string): string {
  const name = MORE_TYPES[type]
  if (name !== undefined) return name
  // Any of 65,536 numbers may come, and this is a label of metrics.
  return decoded.startsWith('UNKNOWN') ? 'unknown' : decoded.toLowerCase()
}
