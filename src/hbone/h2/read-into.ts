import { Socket } from 'node:net'

/**
 * Bytes that one read can bring. With the head of a frame before each record's
 * worth they fill eight TLS records of 16 KiB.
 */
export const READ_BYTES = 8 * (16_384 - 9)

/** Called with bytes that are only there during the call. False pauses the socket. */
export type BytesListener = (bytes: Buffer) => boolean

/**
 * Reads all that a connected socket receives into memory that all sockets of
 * this thread share, where Node would make a buffer of 64 KiB for each read,
 * and pay for it in garbage collections. What was read before comes first.
 * `pause`, `resume`, 'end' and 'error' stay as they are; 'data' is not emitted.
 *
 * Node has this as the `onread` option, for sockets that are made with it
 * alone: neither those that a server accepted, nor TLS over a socket. So the
 * option is copied from a socket that has it. Where Node does not work that
 * way any more, 'data' is listened to instead: slower, not different.
 */
export function readInto(socket: Socket, listener: BytesListener): void {
  // Functions made elsewhere, so that they keep no more than they need: one lives as long as its connection.
  if (!shareBuffer(socket, intoShared(listener))) {
    listenToData(socket, listener)
    return
  }
  for (let early = socket.read(); early !== null; early = socket.read()) {
    if (!listener(early)) socket.pause()
  }
}

function intoShared(listener: BytesListener): (length: number, buffer: Buffer) => boolean {
  return (length, buffer) => listener(buffer.subarray(0, length))
}

function listenToData(socket: Socket, listener: BytesListener): void {
  socket.on('data', (bytes: Buffer) => {
    if (!listener(bytes)) socket.pause()
  })
}

/** Whether sockets of this Node can share a buffer. */
export function canShareBuffer(): boolean {
  return KEYS !== undefined
}

function shareBuffer(socket: Socket, callback: (length: number, buffer: Buffer) => void): boolean {
  const handle: unknown = Reflect.get(socket, '_handle')
  if (KEYS === undefined || typeof handle !== 'object' || handle === null) return false
  const use: unknown = Reflect.get(handle, 'useUserBuffer')
  if (typeof use !== 'function') return false
  Reflect.set(socket, KEYS.buffer, SHARED)
  Reflect.set(socket, KEYS.callback, callback)
  use.call(handle, SHARED)
  return true
}

/** Filled by a read and empty again when its callback returns. */
const SHARED = Buffer.allocUnsafeSlow(READ_BYTES)

/** Under which keys a socket keeps the `onread` that it was made with. */
const KEYS = findKeys()

function findKeys(): { readonly buffer: symbol; readonly callback: symbol } | undefined {
  const callback = (): boolean => true
  const probe = new Socket({ onread: { buffer: SHARED, callback } })
  const symbols = Object.getOwnPropertySymbols(probe)
  const buffer = symbols.find((key) => Reflect.get(probe, key) === SHARED)
  const onread = symbols.find((key) => Reflect.get(probe, key) === callback)
  probe.destroy()
  return buffer === undefined || onread === undefined ? undefined : { buffer, callback: onread }
}
