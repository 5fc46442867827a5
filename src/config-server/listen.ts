import type { Server } from 'node:net'
import { ConfigServerError } from './errors.ts'

/** Where to listen. Port 0 takes a free one. */
export interface ListenAddress {
  readonly host: string
  readonly port: number
}

/** Binds a server; the address that it got. Throws `ConfigServerError` `listen-failed`. */
export function listen(server: Server, { host, port }: ListenAddress): Promise<ListenAddress> {
  return new Promise((resolve, reject) => {
    const failed = (cause: Error) => {
      const message = `cannot listen on ${host}:${port}: ${cause.message}; is another config server running?`
      reject(new ConfigServerError('listen-failed', message, { cause }))
    }
    server.once('error', failed)
    server.listen({ host, port }, () => {
      server.off('error', failed)
      const address = server.address()
      resolve(
        typeof address === 'object' && address !== null
          ? { host: address.address, port: address.port }
          : { host, port },
      )
    })
  })
}
