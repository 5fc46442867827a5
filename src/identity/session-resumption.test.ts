import { once } from 'node:events'
import { connect, createServer, type TLSSocket } from 'node:tls'
import t from 'tap'
import { listen, newAuthority, workloadId } from './test-support.ts'

// A resumed session skips the certificates, and with them expiry, rotation and
// the identity check: a peer that offers an old session gets a full handshake.
t.test('a session cannot be resumed', async (t) => {
  const authority = await newAuthority()
  const server = await authority.issueSvid(workloadId('server'), 600)
  const client = await authority.issueSvid(workloadId('client'), 600)
  const listener = createServer({ ...server.serverOptions(), requestCert: true, rejectUnauthorized: true })
  let handshakesWithCertificate = 0
  listener.on('secureConnection', (socket: TLSSocket) => {
    if (socket.getPeerX509Certificate() !== undefined) handshakesWithCertificate++
    socket.on('error', () => {})
    socket.end('hello')
  })
  const port = await listen(listener)
  const dial = async (
    session: Buffer | undefined,
  ): Promise<{ session: Buffer | undefined; reused: boolean }> => {
    const options = {
      host: '127.0.0.1',
      port,
      secureContext: client.clientContext(),
      checkServerIdentity: () => undefined,
    }
    const socket = connect(session === undefined ? options : { ...options, session })
    let ticket: Buffer | undefined
    let reused = false
    socket.once('secureConnect', () => {
      reused = socket.isSessionReused()
    })
    socket.on('session', (data: Buffer) => {
      ticket = data
    })
    socket.resume()
    await once(socket, 'close')
    return { session: ticket, reused }
  }
  const first = await dial(undefined)
  t.equal(first.reused, false)
  t.not(first.session, undefined, 'OpenSSL sends a ticket all the same')
  t.equal((await dial(first.session)).reused, false)
  t.equal(handshakesWithCertificate, 2)
  listener.close()
})
