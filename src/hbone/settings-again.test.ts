import { once } from 'node:events'
import { createSecureServer, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { createMesh, createPool, eventually, REQUEST, targetOf } from './test-support.ts'

t.test('a peer that changes its SETTINGS later on has the same connection', async (t) => {
  const mesh = await createMesh()
  const svid = await mesh.issue('server')
  const sessions: ServerHttp2Session[] = []
  const server = createSecureServer({ ...svid.serverOptions(), requestCert: true })
  server.on('session', (session) => sessions.push(session))
  server.on('stream', (stream: ServerHttp2Stream) => {
    stream.on('error', () => {})
    stream.respond({ ':status': 200 })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const session of sessions) session.destroy()
    server.close()
  })
  const pool = createPool(t)
  const target = targetOf((server.address() as AddressInfo).port, await mesh.issue('client'))
  const { stream } = await pool.open(target, REQUEST)
  const [session] = sessions
  session?.settings({ maxConcurrentStreams: 7 })
  await once(session ?? server, 'localSettings')
  stream.destroy()
  await eventually('its end is counted', () => pool.dump()[0]?.streams === 0)
  session?.destroy()
  await eventually('its end is known', () => pool.dump().length === 0)
  t.equal(sessions.length, 1)
})
