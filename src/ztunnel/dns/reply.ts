import { type Answer, encode } from 'dns-packet'
import {
  type Edns,
  FLAG_AUTHORITATIVE,
  FLAG_RECURSION_AVAILABLE,
  FLAG_RECURSION_DESIRED,
  FLAG_RESPONSE,
  FLAG_TRUNCATED,
  HEADER_BYTES,
  OPCODE_MASK,
  OPT_BYTES,
  type Query,
  RCODE_MASK,
  TYPE_AAAA,
} from './message.ts'

/** How a query came, which decides how much may go back. */
export type Transport = 'udp' | 'tcp'

/** What the mesh answers. */
export interface LocalAnswer {
  /** The name that the addresses belong to, when it is not the queried one. */
  readonly alias: string | undefined
  readonly addresses: readonly string[]
}

/** Of every record that the mesh answers with, in seconds (wire/ztunnel 12.6). */
const TTL_SECONDS = 30

/** What a client takes that says nothing (RFC 1035 4.2.1); less than it is not believed (RFC 6891 6.2.3). */
const MIN_UDP_BYTES = 512

/** What one datagram carries, whatever a client says it takes (RFC 768, less the headers). */
const MAX_UDP_BYTES = 65_507

/** What the two bytes of length before a message can say (RFC 1035 4.2.2). */
const MAX_TCP_BYTES = 65_535

/** A compressed name: where the question's name stands (RFC 1035 4.1.4). */
const QUESTION_NAME = 0xc000 | HEADER_BYTES

/** The addresses of a service, as many as fit; TC says that some did not. */
export function encodeAnswer(query: Query, answer: LocalAnswer, transport: Transport): Buffer {
  const records = recordsOf(query, answer)
  const opt = encodeOpt(query.edns)
  let room = sizeLimit(query, transport) - HEADER_BYTES - query.question.length - opt.length
  const fitting: Buffer[] = []
  for (const record of records) {
    room -= record.length
    if (room < 0) break
    fitting.push(record)
  }
  const truncated = fitting.length < records.length ? FLAG_TRUNCATED : 0
  const flags = replyFlags(query.flags) | FLAG_AUTHORITATIVE | truncated
  return Buffer.concat([header(query.id, flags, 1, fitting.length, opt), query.question, ...fitting, opt])
}

/** A reply with nothing but an rcode. */
export function encodeFailure(query: Query, rcode: number): Buffer {
  const opt = encodeOpt(query.edns)
  return Buffer.concat([header(query.id, replyFlags(query.flags) | rcode, 1, 0, opt), query.question, opt])
}

/** A reply to what has no question that could be repeated. */
export function encodeRefusal(id: number, flags: number, rcode: number): Buffer {
  return header(id, replyFlags(flags) | rcode, 0, 0, Buffer.alloc(0))
}

/**
 * A name server's reply as the client gets it: under the client's id, without the claim to be authoritative
 * (wire/ztunnel 12.8). Everything else is left byte for byte as it came, so that no record suffers from the passage.
 */
export function relayReply(query: Query, upstream: Buffer): Buffer {
  const reply = Buffer.from(upstream)
  reply.writeUInt16BE(query.id, 0)
  reply.writeUInt16BE(upstream.readUInt16BE(2) & ~FLAG_AUTHORITATIVE, 2)
  return reply
}

/** Whether a relayed reply fits; a name server may say more than it was asked to. */
export function fits(query: Query, reply: Uint8Array, transport: Transport): boolean {
  return reply.length <= sizeLimit(query, transport)
}

/** What goes in place of a reply that does not fit: the client asks again over TCP. */
export function encodeTruncated(query: Query, reply: Buffer): Buffer {
  const opt = encodeOpt(query.edns)
  const flags = (reply.readUInt16BE(2) & ~FLAG_AUTHORITATIVE) | FLAG_TRUNCATED
  return Buffer.concat([header(query.id, flags, 1, 0, opt), query.question, opt])
}

function sizeLimit({ edns }: Query, transport: Transport): number {
  if (transport === 'tcp') return MAX_TCP_BYTES
  return Math.min(MAX_UDP_BYTES, Math.max(MIN_UDP_BYTES, edns?.payloadSize ?? 0))
}

function recordsOf({ question, type }: Query, { alias, addresses }: LocalAnswer): readonly Buffer[] {
  const recordType = type === TYPE_AAAA ? 'AAAA' : 'A'
  const records: Buffer[] = []
  let owner = QUESTION_NAME
  if (alias !== undefined) {
    const cname = record(owner, { type: 'CNAME', data: alias })
    // The name stands at the end of the CNAME; from here on it is pointed at.
    owner = 0xc000 | (HEADER_BYTES + question.length + cname.length - (Buffer.byteLength(alias) + 2))
    records.push(cname)
  }
  for (const address of addresses) records.push(record(owner, { type: recordType, data: address }))
  return records
}

/** dns-packet writes each name in full, so the record is written for the root and gets a pointer in its place. */
function record(owner: number, answer: { type: 'A' | 'AAAA' | 'CNAME'; data: string }): Buffer {
  const full: Answer = { ...answer, name: '.', ttl: TTL_SECONDS }
  const rest = encode({ answers: [full] }).subarray(HEADER_BYTES + 1)
  const bytes = Buffer.allocUnsafe(2 + rest.length)
  bytes.writeUInt16BE(owner, 0)
  bytes.set(rest, 2)
  return bytes
}

/** Repeats what the client said, its size not below the least that is allowed (wire/ztunnel 12.9). */
function encodeOpt(edns: Edns | undefined): Buffer {
  if (edns === undefined) return Buffer.alloc(0)
  const bytes = Buffer.alloc(OPT_BYTES)
  bytes.writeUInt16BE(41, 1)
  bytes.writeUInt16BE(Math.max(MIN_UDP_BYTES, edns.payloadSize), 3)
  bytes.writeUInt8(edns.version, 6)
  bytes.writeUInt16BE(edns.dnssecOk ? 0x8000 : 0, 7)
  return bytes
}

function replyFlags(queryFlags: number): number {
  return FLAG_RESPONSE | FLAG_RECURSION_AVAILABLE | (queryFlags & (OPCODE_MASK | FLAG_RECURSION_DESIRED))
}

function header(id: number, flags: number, questions: number, answers: number, opt: Buffer): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES)
  bytes.writeUInt16BE(id, 0)
  bytes.writeUInt16BE(flags, 2)
  bytes.writeUInt16BE(questions, 4)
  bytes.writeUInt16BE(answers, 6)
  bytes.writeUInt16BE(opt.length === 0 ? 0 : 1, 10)
  return bytes
}

/** The rcode of any reply. */
export function rcodeOf(reply: Buffer): number {
  return reply.readUInt16BE(2) & RCODE_MASK
}
