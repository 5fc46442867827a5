import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { CaClient, type CaClientOptions } from './ca-client.ts'
import { caRoutes } from './ca-service.ts'
import type { CertificateAuthority } from './certificate-authority.ts'
import { controlPlaneTransport } from './control-plane.ts'
import { tokenFile } from './control-plane-headers.ts'
import { listen, newAuthority, serveGrpc, workloadId } from './test-support.ts'

const A = workloadId('a')

async function serve(
  t: Test,
  authority: CertificateAuthority,
  dnsNames: string[],
  ipAddresses: string[] = [],
) {
  const routes = caRoutes({
    ca: authority,
    authenticate: () => ({ kind: 'workload', id: A }),
    authorizeImpersonation: () => undefined,
  })
  const served = await serveGrpc(
    await authority.issueServerCertificate({ dnsNames, ipAddresses, ttlSeconds: 600 }),
    routes,
  )
  t.teardown(served.close)
  return served
}

function client(t: Test, options: Partial<CaClientOptions> & { address: string }): CaClient {
  const made = new CaClient({ impersonate: false, ttlSeconds: 60, ...options })
  t.teardown(() => made.close())
  return made
}

t.test('names: the address, an IP address, the alternative, no other', async (t) => {
  const authority = await newAuthority()
  const rootCertPem = authority.material.rootsPem
  const named = await serve(t, authority, ['localhost'])
  await client(t, { address: `https://localhost:${named.port}`, rootCertPem }).fetch(A)
  const address = `https://127.0.0.1:${named.port}`
  await client(t, { address, rootCertPem, alternativeHostname: 'localhost' }).fetch(A)
  await t.rejects(client(t, { address, rootCertPem, alternativeHostname: 'elsewhere' }).fetch(A), {
    code: 'SIGNING_FAILED',
    message: /\(Unavailable\).*IP: 127.0.0.1 is not in the cert/,
  })
  const numbered = await serve(t, authority, [], ['127.0.0.1', '::1'])
  await client(t, { address: `https://127.0.0.1:${numbered.port}`, rootCertPem }).fetch(A)
})

t.test('a server of another root is refused, and the message says what to check', async (t) => {
  const { port } = await serve(t, await newAuthority(), [], ['127.0.0.1'])
  const rootCertPem = (await newAuthority()).material.rootsPem
  await t.rejects(client(t, { address: `https://127.0.0.1:${port}`, rootCertPem }).fetch(A), {
    code: 'SIGNING_FAILED',
    message:
      /\(Unavailable\): cannot connect to 127.0.0.1:\d+: unable to get local issuer certificate;.*CA_ROOT_CA/,
  })
})

t.test('a root file that is replaced takes effect without a restart', async (t) => {
  const [old, next] = [await newAuthority(), await newAuthority()]
  const rootCertFile = join(t.testdir(), 'root-cert.pem')
  writeFileSync(rootCertFile, old.material.rootsPem)
  const { port, server } = await serve(t, old, [], ['127.0.0.1'])
  const ca = client(t, { address: `https://127.0.0.1:${port}`, rootCertFile })
  await ca.fetch(A)
  const renewed = await next.issueServerCertificate({
    dnsNames: [],
    ipAddresses: ['127.0.0.1'],
    ttlSeconds: 600,
  })
  server.setSecureContext(renewed)
  writeFileSync(rootCertFile, next.material.rootsPem)
  await ca.fetch(A)
  writeFileSync(rootCertFile, 'half written')
  await ca.fetch(A)
})

t.test('roots that cannot be used are named at once', async (t) => {
  const address = 'https://127.0.0.1:1'
  t.throws(() => client(t, { address }), { code: 'CONTROL_PLANE_INVALID', message: /no root certificate/ })
  t.throws(() => client(t, { address, rootCertPem: './mistyped/path.pem' }), {
    message: /holds no PEM certificate/,
  })
  const missing = client(t, { address, rootCertFile: '/nonexistent/root.pem' })
  await t.rejects(missing.fetch(A), {
    code: 'CONTROL_PLANE_INVALID',
    message: /cannot read .*\/nonexistent\/root.pem/,
  })
})

t.test('plaintext and nonsense addresses are refused', async (t) => {
  for (const address of ['http://127.0.0.1:15012', 'localhost:15012', '', 'ftp://x']) {
    t.throws(() => controlPlaneTransport({ address, systemRoots: true }), {
      code: 'CONTROL_PLANE_INVALID',
      message: /is not https:/,
    })
  }
})

t.test('a listener that never speaks TLS does not hold us', async (t) => {
  const sockets: Socket[] = []
  const silent = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
  })
  const port = await listen(silent)
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    silent.close()
  })
  const rootCertPem = (await newAuthority()).material.rootsPem
  const ca = client(t, { address: `https://127.0.0.1:${port}`, rootCertPem, connectTimeoutMs: 50 })
  await t.rejects(ca.fetch(A), { code: 'SIGNING_FAILED', message: /no TLS connection to .* within 50 ms/ })
})

t.test('nobody listens: the error names the address', async (t) => {
  const unused = createServer()
  const port = await listen(unused)
  unused.close()
  await once(unused, 'close')
  const rootCertPem = (await newAuthority()).material.rootsPem
  await t.rejects(client(t, { address: `https://127.0.0.1:${port}`, rootCertPem }).fetch(A), {
    message: new RegExp(
      `signing gRPC error \\(Unavailable\\).*ECONNREFUSED.*https://127.0.0.1:${port}.*check CA_ADDRESS`,
    ),
  })
})

t.test('a token file is read for every call, an empty one is an error', async (t) => {
  const path = join(t.testdir(), 'token')
  const token = tokenFile(path)
  await t.rejects(token(), { code: 'TOKEN_INVALID', message: /cannot read the token file/ })
  writeFileSync(path, 'one\n')
  t.equal((await token()).trim(), 'one')
  writeFileSync(path, '\n')
  await t.rejects(token(), { message: /is empty/ })
})
