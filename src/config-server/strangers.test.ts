import { type ClientHttp2Session, connect, constants } from 'node:http2'
import { Code, ConnectError, createClient } from '@connectrpc/connect'
import t, { type Test } from 'tap'
import { IstioCertificateService } from '../gen/istio/v1/auth/ca_pb.ts'
import {
  CertificateAuthority,
  controlPlaneTransport,
  createInMemoryCa,
  silentLog,
} from '../identity/index.ts'
import { ManualClock } from '../identity/test-support.ts'
import { MAX_STRANGER_REQUESTS, openGrpcListener, STRANGER_TIMEOUT_MS } from './grpc-listener.ts'
import { pod, testMesh } from './test-support.ts'

/** A listener on which every call is answered 404, and whose good token is `good`. */
async function listener(t: Test) {
  const clock = new ManualClock()
  const ca = new CertificateAuthority(await createInMemoryCa())
  const opened = await openGrpcListener({
    ca,
    names: { dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'] },
    routes: () => {},
    authenticate: async (headers) => {
      if (headers.get('authorization') !== 'Bearer good') throw new Error('refused')
    },
    listen: { host: '127.0.0.1', port: 0 },
    log: silentLog,
    clock,
  })
  t.teardown(() => opened.close())
  const dial = async (): Promise<{ session: ClientHttp2Session; closed: Promise<void> }> => {
    const session = connect(`https://localhost:${opened.address.port}`, { ca: ca.material.rootsPem })
    const closed = new Promise<void>((resolve) => {
      session.once('close', () => resolve())
      session.on('error', () => undefined)
    })
    t.teardown(() => session.destroy())
    await new Promise((resolve) => session.once('remoteSettings', resolve))
    return { session, closed }
  }
  /** Lets all the time pass that a stranger has. */
  const expire = () => clock.advance(STRANGER_TIMEOUT_MS)
  return { dial, expire }
}

async function ask(session: ClientHttp2Session, headers: Record<string, string>): Promise<number> {
  const stream = session.request({ ':path': '/', ...headers })
  stream.on('error', () => undefined)
  stream.resume()
  return new Promise((resolve) => {
    stream.once('response', (answer) => resolve(Number(answer[constants.HTTP2_HEADER_STATUS])))
    stream.once('close', () => resolve(0))
  })
}

t.test('a connection that shows no token, or none that is good, does not stay', async (t) => {
  const { dial, expire } = await listener(t)
  const silent = await dial()
  const wrong = await dial()
  const good = await dial()
  t.equal(await ask(wrong.session, { authorization: 'Bearer bad' }), 404)
  t.equal(await ask(good.session, { authorization: 'Bearer good' }), 404)
  await expire()
  await Promise.all([silent.closed, wrong.closed])
  t.equal(await ask(good.session, {}), 404, 'proven once, it stays')
})

t.test('what a stranger can make the server hold unread is small', async (t) => {
  const { dial } = await listener(t)
  const { session } = await dial()
  t.ok((session.remoteSettings.initialWindowSize ?? Infinity) * MAX_STRANGER_REQUESTS <= 2 * 1024 * 1024)
})

t.test('a connection that tries one bad token after the other is closed', async (t) => {
  const { dial } = await listener(t)
  const { session, closed } = await dial()
  const asked = Array.from({ length: MAX_STRANGER_REQUESTS + 1 }, () =>
    ask(session, { authorization: 'Bearer bad' }),
  )
  await closed
  t.ok((await Promise.all(asked)).includes(0))
})

t.test('a certificate request of a stranger is not held in memory however long it is', async (t) => {
  const mesh = testMesh(t, { 'a.yaml': pod('a') })
  const server = await mesh.start()
  const transport = controlPlaneTransport({
    address: `https://127.0.0.1:${server.address.port}`,
    rootCertFile: `${mesh.certsDir}/root-cert.pem`,
  })
  t.teardown(() => transport.close())
  const csr = 'x'.repeat(1024 * 1024)
  const error = await createClient(IstioCertificateService, transport)
    .createCertificate({ csr })
    .catch((thrown: unknown) => thrown)
  t.equal(ConnectError.from(error).code, Code.ResourceExhausted)
})
