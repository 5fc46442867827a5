// A control plane that sends and sends and never reads: what our client owes it
// must not pile up, and the client must not stay with it.
import { createSecureServer, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { CertificateAuthority, createInMemoryCa } from '../../src/identity/index.ts'
import { envelope } from '../support/scripted-grpc-server.ts'
import { response, scriptedClient, workload } from '../support/scripted-mesh.ts'
import { until } from '../support/until.ts'

const RESPONSES = 20_000
/** Each answer repeats it, so a few of them fill the window that is never opened again. */
const LONG_NONCE = 'n'.repeat(1024)

t.test('a control plane that reads no answers', async (t) => {
  const material = await createInMemoryCa()
  const names = { dnsNames: [], ipAddresses: ['127.0.0.1'], ttlSeconds: 3600 }
  const server = createSecureServer(await new CertificateAuthority(material).issueServerCertificate(names))
  const sessions = new Set<ServerHttp2Session>()
  server.on('session', (session) => sessions.add(session))
  let streams = 0
  server.on('stream', (stream: ServerHttp2Stream) => {
    streams++
    stream.on('error', () => {})
    stream.respond({ ':status': 200, 'content-type': 'application/grpc+proto' })
    stream.write(envelope(response({ nonce: '1', resources: [workload('a', 1)] })))
    let sent = 0
    const more = (): void => {
      while (sent++ < RESPONSES) if (!stream.write(envelope(response({ nonce: LONG_NONCE })))) return
    }
    stream.on('drain', more)
    more()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const session of sessions) session.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const { client, mesh, terminations, delays } = scriptedClient(t, {
    address: `https://127.0.0.1:${port}`,
    rootsPem: material.rootsPem,
  })
  const taken = () => client.status().types[0]?.acks ?? 0
  await until(() => terminations.length > 0 || taken() >= RESPONSES, 'the client to give up', 30_000)
  t.ok(taken() < 500, `${taken()} responses taken in without an answer on the wire`)
  t.strictSame(terminations.slice(0, 1), ['Error'])
  t.strictSame(mesh().workloads, ['a 10.0.0.1'], 'what came before is in force')
  await until(() => streams > 1, 'another attempt')
  t.ok((delays[0] ?? 0) > 0, 'after a pause')
})
