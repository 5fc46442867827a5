// Protobuf by hand, from field numbers: a peer that shares no code with ours,
// so that a wrong number in our schema cannot agree with itself.

/** The values of one message by field number, in their order. */
export type WireFields = ReadonlyMap<number, readonly (bigint | Buffer)[]>

/** One field with a length: a string, bytes or a message. */
export function lengthField(field: number, value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([varint((field << 3) | LENGTH), varint(bytes.length), bytes])
}

/** One field with a number, a boolean or an enumeration; negative numbers take ten bytes. */
export function varintField(field: number, value: number | bigint): Buffer {
  return Buffer.concat([varint((field << 3) | VARINT), varint(BigInt.asUintN(64, BigInt(value)))])
}

/** google.protobuf.Struct: fields 1, a map; of Value: string 3, struct 5. */
export function struct(fields: Readonly<Record<string, StructValue>>): Buffer {
  return Buffer.concat(
    Object.entries(fields).map(([key, value]) => {
      const inner = typeof value === 'string' ? lengthField(3, value) : lengthField(5, struct(value))
      return mapEntry(1, key, inner)
    }),
  )
}

export type StructValue = string | { readonly [key: string]: StructValue }

/** One entry of a map whose keys are strings; the value is a string or a message. */
export function mapEntry(field: number, key: string, value: string | Uint8Array): Buffer {
  return lengthField(field, Buffer.concat([lengthField(1, key), lengthField(2, value)]))
}

/** Reads a message; throws for bytes that are none. */
export function readFields(message: Buffer): WireFields {
  const fields = new Map<number, (bigint | Buffer)[]>()
  let at = 0
  const number = (): bigint => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++]
      if (byte === undefined || shift > 63n) throw new Error('a varint without an end')
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
  }
  while (at < message.length) {
    const tag = Number(number())
    const values = fields.get(tag >> 3) ?? []
    fields.set(tag >> 3, values)
    if ((tag & 7) === VARINT) values.push(number())
    else if ((tag & 7) === LENGTH) {
      const length = Number(number())
      if (at + length > message.length) throw new Error(`field ${tag >> 3} ends after its message`)
      values.push(message.subarray(at, at + length))
      at += length
    } else throw new Error(`field ${tag >> 3} has wire type ${tag & 7}, which no field of Istio's has`)
  }
  return fields
}

/** The strings of a field. */
export function strings(fields: WireFields, field: number): string[] {
  return messages(fields, field).map(String)
}

/** The last string of a field, empty if there is none. */
export function string(fields: WireFields, field: number): string {
  return strings(fields, field).at(-1) ?? ''
}

/** The bytes of a field's messages. */
export function messages(fields: WireFields, field: number): Buffer[] {
  return (fields.get(field) ?? []).filter((value) => typeof value !== 'bigint')
}

/** The last number of a field, 0 if there is none. */
export function number(fields: WireFields, field: number): number {
  const value = fields.get(field)?.at(-1) ?? 0n
  if (typeof value !== 'bigint') throw new Error(`field ${field} is no number`)
  return Number(value)
}

const VARINT = 0
const LENGTH = 2

function varint(value: number | bigint): Buffer {
  const bytes: number[] = []
  let rest = BigInt(value)
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80)
  bytes.push(Number(rest))
  return Buffer.from(bytes)
}
