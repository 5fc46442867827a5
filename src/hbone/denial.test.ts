import { connect as connectHttp2 } from 'node:http2'
import { connect as connectTls } from 'node:tls'
import t from 'tap'
import { HboneError } from './errors.ts'
import { createMesh, createPool, eventually, REQUEST, serveHbone, targetOf } from './test-support.ts'

t.test('a refused CONNECT is a status, and the connection stays', async (t) => {
  const mesh = await createMesh()
  const client = await mesh.issue('client')
  let status = 401
  const served = await serveHbone(t, await mesh.issue('server'), (request) => request.refuse(status))
  const pool = createPool(t)
  for (const [code, text] of [
    [401, 'http status: 401 Unauthorized'],
    [503, 'http status: 503 Service Unavailable'],
    [400, 'http status: 400 Bad Request'],
  ] as const) {
    status = code
    const error = await pool.open(targetOf(served.port, client), REQUEST).catch((reason: unknown) => reason)
    t.ok(error instanceof HboneError)
    if (error instanceof HboneError) t.match(error, { code: 'status', status: code, message: text })
  }
  t.equal(served.sockets.length, 1)
  await eventually('no stream is left', () => served.hbone.sessions()[0]?.streams === 0)
})

t.test('what is no HBONE CONNECT is answered 400 before anybody sees it', async (t) => {
  const mesh = await createMesh()
  const client = await mesh.issue('client')
  const served = await serveHbone(t, await mesh.issue('server'), () => t.fail('must not be called'))
  const tls = connectTls({
    port: served.port,
    host: '127.0.0.1',
    secureContext: client.clientContext(),
    ALPNProtocols: ['h2'],
    checkServerIdentity: () => undefined,
  })
  const session = connectHttp2('https://hbone.invalid', { createConnection: () => tls })
  t.teardown(() => session.destroy())
  const answer = (headers: Record<string, string>): Promise<{ status: unknown; body: number }> =>
    new Promise((resolve, reject) => {
      const stream = session.request(headers, { endStream: false })
      let body = 0
      stream.on('data', (chunk: Buffer) => {
        body += chunk.length
      })
      stream.on('error', reject)
      stream.on('response', (response) =>
        stream.once('close', () => resolve({ status: response[':status'], body })),
      )
    })
  t.match(await answer({ ':method': 'GET', ':path': '/' }), { status: 400, body: 0 })
  t.match(await answer({ ':method': 'CONNECT', ':authority': 'no-port' }), { status: 400, body: 0 })
  t.same(
    served.errors.map(({ error }) => error.message),
    ['expected method CONNECT, got GET', 'no valid authority pseudo header: no-port'],
  )
})
