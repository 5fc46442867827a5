import type { Socket } from 'node:net'
import { Socks5Error } from './errors.ts'
import { advance, MAX_HANDSHAKE_BYTES, type Socks5Request, type Socks5State } from './handshake.ts'

/** A client is a program on this machine and says what it wants at once; Istio's ztunnel waits for ever. */
export const HANDSHAKE_TIMEOUT_MS = 10_000

/**
 * Leads a client through the handshake up to its request. What it sent beyond that is put back, for whoever reads the
 * socket next. Rejects with Socks5Error; what there was to say to the client has been said then, and the socket ends.
 */
export function negotiate(socket: Socket, timeoutMs: number = HANDSHAKE_TIMEOUT_MS): Promise<Socks5Request> {
  return new Promise((resolve, reject) => {
    let state: Socks5State = { kind: 'greeting' }
    let held: Buffer = Buffer.alloc(0)
    const finish = (conclude: () => void): void => {
      clearTimeout(timer)
      socket.off('readable', onReadable)
      socket.off('end', onGone)
      socket.off('close', onGone)
      conclude()
    }
    const fail = (error: Socks5Error, reply?: Uint8Array): void =>
      finish(() => {
        if (reply === undefined || reply.length === 0) socket.destroy()
        else socket.end(reply, () => socket.destroy())
        reject(error)
      })
    const onGone = (): void =>
      fail(new Socks5Error('gone', 'socks: the client left before it asked for a connection'))
    const onReadable = (): void => {
      const chunk: Buffer | null = socket.read()
      if (chunk === null) return
      held = Buffer.concat([held, chunk])
      while (state.kind !== 'complete') {
        const step = advance(state, held.subarray(0, MAX_HANDSHAKE_BYTES))
        if (step.kind === 'wait') return
        if (step.kind === 'refuse') {
          fail(step.error, step.reply)
          return
        }
        if (step.reply.length > 0) socket.write(step.reply)
        held = held.subarray(step.length)
        state = step.state
      }
      const { request } = state
      finish(() => {
        if (held.length > 0) socket.unshift(held)
        resolve(request)
      })
    }
    const timer = setTimeout(
      () => fail(new Socks5Error('timeout', `socks: no whole request in ${timeoutMs} ms`)),
      timeoutMs,
    )
    socket.on('readable', onReadable)
    socket.once('end', onGone)
    socket.once('close', onGone)
  })
}
