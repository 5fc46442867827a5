import t from 'tap'
import { HboneError } from './errors.ts'
import { pump } from './pump.ts'
import {
  createMesh,
  createPool,
  eventually,
  REQUEST,
  received,
  serveHbone,
  targetOf,
  tcpPair,
} from './test-support.ts'

t.test('the signal cuts a live tunnel, both ends at once', async (t) => {
  const mesh = await createMesh()
  const codes: (number | undefined)[] = []
  const served = await serveHbone(t, await mesh.issue('server'), (request) => {
    request.accept().resume()
    request.tunnel.whenClosed(() => codes.push(request.tunnel.resetCode))
  })
  const { tunnel } = await createPool(t).open(targetOf(served.port, await mesh.issue('client')), REQUEST)
  const { ours, theirs } = await tcpPair(t)
  const abort = new AbortController()
  const done = pump(ours, tunnel, { sent: 0, received: 0 }, abort.signal)
  const end = received(theirs)
  const reason = new Error('connection closed due to policy change')
  abort.abort(reason)
  t.same(await done, { error: reason })
  t.ok(ours.destroyed)
  t.ok(tunnel.closed)
  await end
  await eventually('the peer saw it', () => codes.length === 1)
  t.same(codes, [8])
})

t.test('a signal that has fired already', async (t) => {
  const left = await tcpPair(t)
  const right = await tcpPair(t)
  const { error } = await pump(left.ours, right.ours, { sent: 0, received: 0 }, AbortSignal.abort('why not'))
  t.ok(error instanceof HboneError && error.code === 'aborted')
  t.ok(left.ours.destroyed && right.ours.destroyed)
})

t.test('the signal cancels a request without an answer', async (t) => {
  const mesh = await createMesh()
  let asked = false
  const codes: (number | undefined)[] = []
  const served = await serveHbone(t, await mesh.issue('server'), ({ tunnel }) => {
    asked = true
    tunnel.whenClosed(() => codes.push(tunnel.resetCode))
  })
  const abort = new AbortController()
  const pool = createPool(t)
  const opened = pool.open(targetOf(served.port, await mesh.issue('client')), REQUEST, abort.signal)
  await Promise.all([
    t.rejects(opened, { message: 'enough' }),
    eventually('asked', () => asked).then(() => abort.abort(new Error('enough'))),
  ])
  await eventually('the peer saw it', () => codes.length === 1)
  t.same(codes, [8])
  await eventually('the slot is free', () => pool.dump()[0]?.streams === 0)
})

t.test('the signal cuts a tunnel that the peer has reset and whose reader is stuck', async (t) => {
  const mesh = await createMesh()
  const served = await serveHbone(t, await mesh.issue('server'), (request) => {
    request.accept().write(Buffer.alloc(4_000_000), () => request.tunnel.reset(0))
  })
  const { tunnel } = await createPool(t).open(targetOf(served.port, await mesh.issue('client')), REQUEST)
  const { ours, theirs } = await tcpPair(t)
  theirs.pause()
  // Stuck from the first byte on, whatever the kernel would buffer.
  ours.cork()
  const abort = new AbortController()
  const done = pump(ours, tunnel, { sent: 0, received: 0 }, abort.signal)
  await eventually('reset, with data left', () => tunnel.closed)
  abort.abort(new Error('enough'))
  t.match(await done, { error: { message: 'enough' } })
  t.ok(ours.destroyed && tunnel.closed)
})
