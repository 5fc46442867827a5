import { connect as connectHttp2 } from 'node:http2'
import { type ConnectionOptions, connect } from 'node:tls'
import t from 'tap'
import {
  createMesh,
  createPool,
  eventually,
  REQUEST,
  type ServedHbone,
  serveHbone,
  targetOf,
} from './test-support.ts'

/** A client that asks for a tunnel as soon as it can; returns once its connection is over. */
async function intrude(served: ServedHbone, options: ConnectionOptions): Promise<void> {
  const tls = connect({
    port: served.port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    ALPNProtocols: ['h2'],
    ...options,
  })
  tls.once('secureConnect', () => {
    const session = connectHttp2('https://hbone.invalid', { createConnection: () => tls })
    session.on('error', () => {})
    session.request({ ':method': 'CONNECT', ':authority': '10.0.0.1:80' }).on('error', () => {})
  })
  // An alert after the handshake is an 'error' without a 'close'.
  await new Promise((resolve) => tls.once('close', resolve).on('error', resolve))
  tls.destroy()
}

t.test('a client without a certificate', async (t) => {
  const mesh = await createMesh()
  const served = await serveHbone(t, await mesh.issue('server'), () => t.fail('must not be called'))
  await intrude(served, {})
  await eventually('it was reported', () => served.errors.length === 1)
  t.match(served.errors[0], {
    error: { code: 'tls', message: 'tls handshake error: peer did not return a certificate' },
    ends: { peer: { address: '127.0.0.1' }, local: { address: '127.0.0.1', port: served.port } },
  })
})

t.test('a client of another CA', async (t) => {
  const stranger = await (await createMesh()).issue('client')
  const served = await serveHbone(t, await (await createMesh()).issue('server'), () =>
    t.fail('must not be called'),
  )
  await intrude(served, { secureContext: stranger.clientContext() })
  await eventually('it was reported', () => served.errors.length === 1)
  t.match(served.errors[0], { error: { code: 'tls', message: /not signed by a root/ } })
})

t.test('a client of a foreign trust domain, with a certificate of our own CA', async (t) => {
  const mesh = await createMesh()
  const foreigner = await mesh.issue('client', 'other.example')
  const served = await serveHbone(t, await mesh.issue('server'), () => t.fail('must not be called'))
  await intrude(served, { secureContext: foreigner.clientContext() })
  await eventually('it was reported', () => served.errors.length === 1)
  t.match(served.errors[0]?.error, {
    code: 'identity',
    message:
      'tls handshake error: identity verification error: peer did not present the expected trustdomain ' +
      '(cluster.local), got spiffe://other.example/ns/app/sa/client',
  })
  t.same(served.hbone.sessions(), [])
})

t.test('the dialling side learns of it before it sends anything', async (t) => {
  const mesh = await createMesh()
  const foreigner = await mesh.issue('client', 'other.example')
  const served = await serveHbone(t, await mesh.issue('server'), () => t.fail('must not be called'))
  await t.rejects(createPool(t).open(targetOf(served.port, foreigner), REQUEST), {
    code: 'tls',
    message: /maybe it does not accept our certificate/,
  })
})

t.test('a client that offers another protocol is refused, one that offers none is not', async (t) => {
  const mesh = await createMesh()
  const client = await mesh.issue('client')
  let requests = 0
  const served = await serveHbone(t, await mesh.issue('server'), (request) => {
    requests++
    request.tunnel.session.destroy()
  })
  await intrude(served, { secureContext: client.clientContext(), ALPNProtocols: ['http/1.1'] })
  await eventually('it was reported', () => served.errors.length === 1)
  t.equal(served.errors[0]?.error.message, 'tls handshake error: no application protocol')
  await intrude(served, { secureContext: client.clientContext(), ALPNProtocols: [] })
  t.equal(requests, 1)
})
