import { ERROR } from './constants.ts'
import { Http2Error } from './errors.ts'
import { isFieldName, isFieldValue } from './field-rules.ts'

/** Plain fields to send, names in lower case. */
export type Fields = Readonly<Record<string, string>>

/**
 * The header block of a CONNECT (RFC 9113 section 8.5). Literals that enter no
 * table (RFC 7541 section 6.2.2): a tunnel has one block in its life, and what a
 * table would save is less than the frame that carries it.
 * Throws `Http2Error` `unsendable` for a field that HTTP/2 cannot carry.
 */
export function encodeConnect(authority: string, fields: Fields): Buffer {
  if (!isFieldValue(authority)) throw unsendable(':authority')
  const writer = new BlockWriter(CONNECT.length + sizeOf(fields) + authority.length + MOST_OF_LITERAL)
  writer.bytes(CONNECT)
  writer.byte(AUTHORITY)
  writer.string(authority)
  writer.fields(fields)
  return writer.block()
}

/** The header block of an answer. Throws as `encodeConnect`. */
export function encodeAnswer(status: number, fields: Fields): Buffer {
  const writer = new BlockWriter(sizeOf(fields) + MOST_OF_LITERAL)
  if (status === 200) writer.byte(STATUS_200)
  else {
    writer.byte(STATUS)
    writer.string(`${status}`)
  }
  writer.fields(fields)
  return writer.block()
}

class BlockWriter {
  readonly #buffer: Buffer
  #at = 0

  constructor(size: number) {
    this.#buffer = Buffer.allocUnsafe(size)
  }

  byte(value: number): void {
    this.#buffer[this.#at++] = value
  }

  bytes(bytes: Buffer): void {
    this.#at += bytes.copy(this.#buffer, this.#at)
  }

  string(text: string): void {
    let rest = text.length
    if (rest < 127) this.byte(rest)
    else {
      this.byte(127)
      for (rest -= 127; rest >= 128; rest >>>= 7) this.byte((rest & 127) | 128)
      this.byte(rest)
    }
    this.#at += this.#buffer.write(text, this.#at, 'latin1')
  }

  fields(fields: Fields): void {
    for (const name of Object.keys(fields)) {
      const value = fields[name] ?? ''
      if (!isFieldName(name) || !isFieldValue(value)) throw unsendable(name)
      this.byte(NEW_NAME)
      this.string(name)
      this.string(value)
    }
  }

  block(): Buffer {
    return this.#buffer.subarray(0, this.#at)
  }
}

function sizeOf(fields: Fields): number {
  let size = 0
  for (const name of Object.keys(fields)) size += name.length + (fields[name]?.length ?? 0) + MOST_OF_LITERAL
  return size
}

function unsendable(name: string): Http2Error {
  return new Http2Error('unsendable', ERROR.INTERNAL_ERROR, `header field ${name} has an illegal value`)
}

/** `:method: CONNECT`, with the name of static entry 2. */
const CONNECT = Buffer.concat([Buffer.from([2, 7]), Buffer.from('CONNECT')])
/** A literal with the name of static entry 1. */
const AUTHORITY = 1
/** Static entry 8 as it is, and a literal with its name. */
const STATUS_200 = 0x88
const STATUS = 8
const NEW_NAME = 0
/** Bytes of a literal beside name and value: its kind, and two lengths of five at the most. */
const MOST_OF_LITERAL = 11
