import t from 'tap'
import { ERROR } from './h2/constants.ts'
import { createMesh, createPool, REQUEST, serveHbone, targetOf } from './test-support.ts'

// RFC 9113 section 8.7: REFUSED_STREAM and a stream above GOAWAY's last id were not processed.
t.test('REFUSED_STREAM is tried once more, on a new connection', async (t) => {
  const mesh = await createMesh()
  const client = await mesh.issue('client')
  let requests = 0
  const served = await serveHbone(t, await mesh.issue('server'), (request) => {
    requests++
    if (requests === 1) request.tunnel.reset(ERROR.REFUSED_STREAM)
    else request.accept()
  })
  await createPool(t).open(targetOf(served.port, client), REQUEST)
  t.equal(requests, 2)
  t.equal(served.sockets.length, 2)
})

t.test('twice refused is refused', async (t) => {
  const mesh = await createMesh()
  const client = await mesh.issue('client')
  let requests = 0
  const served = await serveHbone(t, await mesh.issue('server'), (request) => {
    requests++
    request.tunnel.reset(ERROR.REFUSED_STREAM)
  })
  await t.rejects(createPool(t).open(targetOf(served.port, client), REQUEST), { code: 'http2', unsent: true })
  t.equal(requests, 2)
})

t.test('what the peer may have seen is not sent again', async (t) => {
  const mesh = await createMesh()
  const client = await mesh.issue('client')
  let requests = 0
  const served = await serveHbone(t, await mesh.issue('server'), (request) => {
    requests++
    request.tunnel.reset(ERROR.INTERNAL_ERROR)
  })
  await t.rejects(createPool(t).open(targetOf(served.port, client), REQUEST), {
    code: 'http2',
    unsent: false,
  })
  t.equal(requests, 1)
})

t.test('GOAWAY that overtakes a request', async (t) => {
  const mesh = await createMesh()
  const client = await mesh.issue('client')
  let requests = 0
  const served = await serveHbone(t, await mesh.issue('server'), (request) => {
    requests++
    request.accept()
    // At once, without the first step of a drain: what is under way gets lost.
    if (requests === 1) request.tunnel.session.close()
  })
  const pool = createPool(t)
  await pool.open(targetOf(served.port, client), REQUEST)
  await Promise.all([
    pool.open(targetOf(served.port, client), REQUEST),
    pool.open(targetOf(served.port, client), REQUEST),
  ])
  t.equal(requests, 3)
  t.equal(served.sockets.length, 2)
})
