import { canonicalAddress } from '../../mesh/index.ts'
import { Socks5Error } from './errors.ts'

/** What a client asks for. */
export interface Socks5Request {
  /** An IP address or a name. */
  readonly host: string
  readonly port: number
}

/** Where a handshake stands. */
export type Socks5State =
  | { readonly kind: 'greeting' }
  | { readonly kind: 'request' }
  | { readonly kind: 'complete'; readonly request: Socks5Request }

/** What the next bytes lead to. */
export type Socks5Step =
  /** Not enough of them yet. */
  | { readonly kind: 'wait' }
  /** `length` bytes were understood; `reply` is to be sent. */
  | {
      readonly kind: 'next'
      readonly state: Socks5State
      readonly length: number
      readonly reply: Uint8Array
    }
  /** The client is told `reply` and is done with. */
  | { readonly kind: 'refuse'; readonly error: Socks5Error; readonly reply: Uint8Array }

/** Reply codes of RFC 1928 6. */
export const REPLY = {
  succeeded: 0,
  failure: 1,
  notAllowed: 2,
  networkUnreachable: 3,
  hostUnreachable: 4,
  refused: 5,
  commandNotSupported: 7,
  addressNotSupported: 8,
} as const

const VERSION = 5
const NO_AUTHENTICATION = 0
const NO_ACCEPTABLE_METHOD = 0xff
const CONNECT = 1

/** The longest that is of use: a request with a name of 255 bytes. Nothing beyond it is looked at. */
export const MAX_HANDSHAKE_BYTES = 4 + 1 + 255 + 2

const NOTHING = new Uint8Array(0)

/** A reply to a request; the address that the proxy speaks from is of no use to anyone and left out. */
export function encodeReply(code: number): Uint8Array {
  return Uint8Array.of(VERSION, code, 0, 1, 0, 0, 0, 0, 0, 0)
}

/** The one transition of the handshake (RFC 1928 3, 4). Pure; reads only what belongs to the state's message. */
export function advance(state: Socks5State, bytes: Uint8Array): Socks5Step {
  if (state.kind === 'greeting') return greeting(bytes)
  return state.kind === 'request' ? request(bytes) : { kind: 'wait' }
}

function greeting(bytes: Uint8Array): Socks5Step {
  const [version, count] = bytes
  if (version === undefined) return { kind: 'wait' }
  // SOCKS4, HTTP, TLS: nothing that we could say would be understood.
  if (version !== VERSION) return refuse('version', `socks: version ${version} is not supported`, NOTHING)
  if (count === undefined || bytes.length < 2 + count) return { kind: 'wait' }
  if (!bytes.subarray(2, 2 + count).includes(NO_AUTHENTICATION)) {
    const reply = Uint8Array.of(VERSION, NO_ACCEPTABLE_METHOD)
    return refuse('method', 'socks: the client insists on authentication, and there is none here', reply)
  }
  const reply = Uint8Array.of(VERSION, NO_AUTHENTICATION)
  return { kind: 'next', state: { kind: 'request' }, length: 2 + count, reply }
}

function request(bytes: Uint8Array): Socks5Step {
  const [version, command, , type, first] = bytes
  if (version === undefined) return { kind: 'wait' }
  if (version !== VERSION) return refuse('version', `socks: a request of version ${version}`, NOTHING)
  if (command === undefined) return { kind: 'wait' }
  if (command !== CONNECT) {
    const reply = encodeReply(REPLY.commandNotSupported)
    return refuse('command', `socks: command ${command} is not supported, only CONNECT is`, reply)
  }
  if (type === undefined) return { kind: 'wait' }
  const form = ADDRESS_FORMS[type]
  if (form === undefined) {
    return refuse(
      'address',
      `socks: addresses of type ${type} are not supported`,
      encodeReply(REPLY.addressNotSupported),
    )
  }
  if (first === undefined) return { kind: 'wait' }
  const length = 4 + form.length(first) + 2
  if (bytes.length < length) return { kind: 'wait' }
  const host = form.read(bytes.subarray(4, length - 2))
  if (host === undefined) {
    return refuse(
      'address',
      'socks: the name is empty or no UTF-8 text',
      encodeReply(REPLY.addressNotSupported),
    )
  }
  const port = ((bytes[length - 2] ?? 0) << 8) | (bytes[length - 1] ?? 0)
  // The reply comes when there is a connection.
  return { kind: 'next', state: { kind: 'complete', request: { host, port } }, length, reply: NOTHING }
}

interface AddressForm {
  /** Bytes in all, by the first of them. */
  readonly length: (first: number) => number
  readonly read: (bytes: Uint8Array) => string | undefined
}

/** RFC 1928 5: IPv4, name, IPv6. */
const ADDRESS_FORMS: Readonly<Record<number, AddressForm>> = {
  1: { length: () => 4, read: (bytes) => bytes.join('.') },
  3: { length: (first) => 1 + first, read: (bytes) => decodeName(bytes.subarray(1)) },
  4: { length: () => 16, read: readIpv6 },
}

function readIpv6(bytes: Uint8Array): string {
  const groups: string[] = []
  for (let at = 0; at < 16; at += 2)
    groups.push((((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)).toString(16))
  return canonicalAddress(groups.join(':'))
}

function decodeName(bytes: Uint8Array): string | undefined {
  try {
    const name = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return name === '' ? undefined : name
  } catch {
    return undefined
  }
}

function refuse(code: Socks5Error['code'], message: string, reply: Uint8Array): Socks5Step {
  return { kind: 'refuse', error: new Socks5Error(code, message), reply }
}
