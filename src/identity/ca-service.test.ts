import { createClient } from '@connectrpc/connect'
import t, { type Test } from 'tap'
import { IstioCertificateService } from '../gen/istio/v1/auth/ca_pb.ts'
import { CaClient, type CaClientOptions } from './ca-client.ts'
import { type CaServiceOptions, caRoutes } from './ca-service.ts'
import type { CertificateAuthority } from './certificate-authority.ts'
import { controlPlaneTransport } from './control-plane.ts'
import { createCsr } from './csr.ts'
import { generateKeyPair } from './keys.ts'
import { formatSpiffeId, type SpiffeId } from './spiffe-id.ts'
import { handshake, newAuthority, serveGrpc, workloadId } from './test-support.ts'
import { bearerToken, TokenIssuer } from './token.ts'
import { createTokenKey } from './token-key.ts'

/** What runs where: the callback's knowledge. */
const PLACES = new Map([
  ['a', 'node-1'],
  ['b', 'node-2'],
])

interface World {
  readonly authority: CertificateAuthority
  readonly tokens: TokenIssuer
  readonly address: string
  client(token: string, options?: Partial<CaClientOptions>): CaClient
}

async function world(t: Test, options: Partial<CaServiceOptions> = {}): Promise<World> {
  const authority = await newAuthority()
  const tokens = new TokenIssuer(createTokenKey())
  const tls = await authority.issueServerCertificate({
    dnsNames: [],
    ipAddresses: ['127.0.0.1'],
    ttlSeconds: 600,
  })
  const routes = caRoutes({
    ca: authority,
    authenticate: (headers) => tokens.verify(bearerToken(headers)),
    authorizeImpersonation: (caller, requested) => {
      if (caller.kind === 'node' && PLACES.get(requested.serviceAccount) === caller.node) return undefined
      return 'no workload of this identity runs on the node'
    },
    ...options,
  })
  const { port, close } = await serveGrpc(tls, routes)
  const address = `https://127.0.0.1:${port}`
  const clients: CaClient[] = []
  t.teardown(() => {
    for (const client of clients) client.close()
    close()
  })
  const client = (token: string, extra: Partial<CaClientOptions> = {}): CaClient => {
    const made = new CaClient({
      address,
      rootCertPem: authority.material.rootsPem,
      token: () => token,
      clusterId: 'Kubernetes',
      impersonate: true,
      ttlSeconds: 600,
      ...extra,
    })
    clients.push(made)
    return made
  }
  return { authority, tokens, address, client }
}

t.test('a node gets the identities of its workloads, and they can talk', async (t) => {
  const { tokens, client } = await world(t)
  const one = client(await tokens.issueNodeToken({ node: 'node-1', ttlSeconds: 60 }))
  const two = client(`${await tokens.issueNodeToken({ node: 'node-2', ttlSeconds: 60 })}\n`)
  const [a, b] = [await one.fetch(workloadId('a')), await two.fetch(workloadId('b'))]
  t.same(a.id, workloadId('a'))
  const result = await handshake(a, b, [formatSpiffeId(workloadId('b'))])
  t.match(result, { clientError: undefined, serverError: undefined })
})

t.test('a node gets nothing else', async (t) => {
  const { tokens, client, address } = await world(t)
  const ca = client(await tokens.issueNodeToken({ node: 'node-1', ttlSeconds: 60 }))
  await t.rejects(ca.fetch(workloadId('b')), {
    code: 'SIGNING_FAILED',
    message: `signing gRPC error (Unauthenticated): request impersonation authentication failure: no workload of this identity runs on the node; asked CA ${address} for spiffe://cluster.local/ns/default/sa/b; check the token (AUTH_TOKEN), and that a workload of this identity runs on the node the token is bound to`,
  })
  await t.rejects(ca.fetch(workloadId('a', 'other.domain')), { message: /not of this CA's trust domain/ })
})

t.test('a workload gets its own identity only', async (t) => {
  const { tokens, client } = await world(t, { authorizeImpersonation: () => undefined })
  const token = await tokens.issueWorkloadToken({ namespace: 'default', serviceAccount: 'a', ttlSeconds: 60 })
  t.same((await client(token, { impersonate: false }).fetch(workloadId('a'))).id, workloadId('a'))
  t.same((await client(token).fetch(workloadId('a'))).id, workloadId('a'))
  await t.rejects(client(token).fetch(workloadId('b')), {
    message: /\(Unauthenticated\).*its own identity only/,
  })
  await t.rejects(client(token, { impersonate: false }).fetch(workloadId('b')), {
    code: 'CHAIN_INVALID',
    message: /did not find expected SAN/,
  })
})

t.test('a node without impersonation is the ztunnel account', async (t) => {
  const { tokens, client } = await world(t)
  const id: SpiffeId = { trustDomain: 'cluster.local', namespace: 'istio-system', serviceAccount: 'ztunnel' }
  const token = await tokens.issueNodeToken({ node: 'node-1', ttlSeconds: 60 })
  t.same((await client(token, { impersonate: false }).fetch(id)).id, id)
})

t.test('bad tokens are refused with the reason', async (t) => {
  const { client } = await world(t)
  const stranger = await new TokenIssuer(createTokenKey()).issueNodeToken({ node: 'node-1', ttlSeconds: 60 })
  await t.rejects(client(stranger).fetch(workloadId('a')), {
    message: /\(Unauthenticated\): .*not of this config server's key/,
  })
  await t.rejects(client('two words').fetch(workloadId('a')), { code: 'TOKEN_INVALID' })
  await t.rejects(client('  \n').fetch(workloadId('a')), { code: 'TOKEN_INVALID', message: /token is empty/ })
})

t.test('lifetimes: default, bounds', async (t) => {
  const { tokens, client } = await world(t, {
    defaultTtlSeconds: 120,
    maxTtlSeconds: 1_000,
    minTtlSeconds: 5,
  })
  const token = await tokens.issueNodeToken({ node: 'node-1', ttlSeconds: 60 })
  const fetch = (ttlSeconds: number) => client(token, { ttlSeconds }).fetch(workloadId('a'))
  const seconds = ({ notBefore, notAfter }: { notBefore: Date; notAfter: Date }): number =>
    (notAfter.getTime() - notBefore.getTime()) / 1_000 - 120
  t.equal(seconds(await fetch(0)), 120)
  t.equal(seconds(await fetch(1_000)), 1_000)
  await t.rejects(fetch(1_001), {
    message: /\(InvalidArgument\): .*above the maximum of 1000 s.*check SECRET_TTL/,
  })
  await t.rejects(fetch(4), { message: /\(InvalidArgument\): .*below the minimum of 5 s/ })
})

t.test('malformed requests are InvalidArgument or Unauthenticated, never signed', async (t) => {
  const { tokens, address, authority } = await world(t)
  const transport = controlPlaneTransport({ address, rootCertPem: authority.material.rootsPem })
  t.teardown(() => transport.close())
  const client = createClient(IstioCertificateService, transport)
  const authorization = `Bearer ${await tokens.issueNodeToken({ node: 'node-1', ttlSeconds: 60 })}`
  const call = (request: Parameters<typeof client.createCertificate>[0]) =>
    client.createCertificate(request, { headers: { authorization } })
  await t.rejects(call({ csr: 'junk' }), { message: /\[invalid_argument\] the CSR must be one PEM block/ })
  await t.rejects(call({ csr: 'x'.repeat(20_000) }), { message: /\[invalid_argument\] CSR of 20000 bytes/ })
  const csr = await createCsr(workloadId('a'), await generateKeyPair())
  for (const ImpersonatedIdentity of [
    'junk',
    7,
    ['spiffe://cluster.local/ns/default/sa/a'],
    'spiffe://x/ns/../sa/y',
  ]) {
    await t.rejects(call({ csr, metadata: { ImpersonatedIdentity } }), { message: /\[unauthenticated\]/ })
  }
})

t.test("a CA's inner failure tells the caller nothing of its insides", async (t) => {
  const sign = (): Promise<string[]> => Promise.reject(new Error('secret path /x'))
  const { tokens, client } = await world(t, { ca: { sign } })
  const ca = client(await tokens.issueNodeToken({ node: 'node-1', ttlSeconds: 60 }))
  const error: unknown = await ca.fetch(workloadId('a')).catch((e: unknown) => e)
  t.match(error, { message: /\(Internal\): certificate signing failed/ })
  t.notMatch(String(error), /secret path/)
})
