import t from 'tap'
import { CLIENT, createMesh, createPool, REQUEST, SERVER, serveHbone, targetOf } from './test-support.ts'

t.test('the server must prove one of the expected identities', async (t) => {
  const mesh = await createMesh()
  const client = await mesh.issue('client')
  const served = await serveHbone(t, await mesh.issue('server'), (request) => request.accept())
  const pool = createPool(t)
  const open = (...destinationIdentities: string[]) =>
    pool.open(targetOf(served.port, client, { destinationIdentities }), REQUEST)
  t.equal((await open(CLIENT, SERVER)).peerIdentity, SERVER)
  const message =
    'io error: identity verification error: peer did not present the expected SAN ' +
    `(${CLIENT},spiffe://other.example/ns/app/sa/server), got ${SERVER}`
  await t.rejects(open(CLIENT, 'spiffe://other.example/ns/app/sa/server'), { code: 'identity', message })
  await t.rejects(open(), { code: 'identity' }, 'nobody is expected: nobody is believed')
  t.equal(pool.dump().length, 1)
})

t.test('a server of another CA is refused', async (t) => {
  const client = await (await createMesh()).issue('client')
  const served = await serveHbone(t, await (await createMesh()).issue('server'), () =>
    t.fail('must not be called'),
  )
  await t.rejects(createPool(t).open(targetOf(served.port, client), REQUEST), { code: 'tls' })
})
