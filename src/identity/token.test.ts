import { createHmac, generateKeyPairSync } from 'node:crypto'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { decodeJwt, SignJWT } from 'jose'
import t from 'tap'
import { bearerToken, TokenIssuer } from './token.ts'
import { createTokenKey } from './token-key.ts'

const ZTUNNEL = { trustDomain: 'cluster.local', namespace: 'istio-system', serviceAccount: 'ztunnel' }

t.test('a node token is a Kubernetes bound token of the ztunnel account', async (t) => {
  const issuer = new TokenIssuer(createTokenKey(), { now: () => 1_000_000 })
  const token = await issuer.issueNodeToken({ node: 'n1', ttlSeconds: 60 })
  t.match(decodeJwt(token), {
    sub: 'system:serviceaccount:istio-system:ztunnel',
    aud: 'istio-ca',
    'kubernetes.io': { namespace: 'istio-system', serviceaccount: { name: 'ztunnel' }, node: { name: 'n1' } },
  })
  t.same(await issuer.verify(token), { kind: 'node', node: 'n1', id: ZTUNNEL, expiresAt: 1_060_000 })
})

t.test('a workload token is its service account', async (t) => {
  const issuer = new TokenIssuer(createTokenKey(), { trustDomain: 'td', now: () => 0 })
  const account = { namespace: 'ns', serviceAccount: 'sa', ttlSeconds: 60 }
  const id = { trustDomain: 'td', namespace: 'ns', serviceAccount: 'sa' }
  t.same(await issuer.verify(await issuer.issueWorkloadToken(account)), {
    kind: 'workload',
    id,
    expiresAt: 60_000,
  })
  const bound = await issuer.issueWorkloadToken({ ...account, pod: 'p', node: 'n' })
  t.same(await issuer.verify(bound), { kind: 'workload', id, node: 'n', expiresAt: 60_000 })
})

t.test('no workload token is good for a node', async (t) => {
  const issuer = new TokenIssuer(createTokenKey())
  const request = { namespace: 'istio-system', serviceAccount: 'ztunnel', node: 'n', ttlSeconds: 60 }
  await t.rejects(issuer.issueWorkloadToken(request), {
    code: 'TOKEN_INVALID',
    message: /issue a node token/,
  })
})

t.test('refused, with the reason', async (t) => {
  let now = Date.UTC(2030, 0, 1)
  const key = createTokenKey()
  const issuer = new TokenIssuer(key, { now: () => now })
  const node = await issuer.issueNodeToken({ node: 'n1', ttlSeconds: 60 })
  const refused = (token: string, message: RegExp): Promise<unknown> =>
    t.rejects(issuer.verify(token), { code: 'TOKEN_INVALID', message })
  now += 61_000
  await refused(node, /the token expired at 2030-01-01T00:01:00.000Z/)
  now -= 61_000
  await refused(
    await new TokenIssuer(createTokenKey(), { now: () => now }).issueNodeToken({ node: 'n', ttlSeconds: 9 }),
    /not of this config server's key/,
  )
  await refused('x.y.z', /cannot be read/)
  await refused('', /cannot be read/)
  await refused('x'.repeat(20_000), /at most/)

  const claims = { 'kubernetes.io': { namespace: 'istio-system', serviceaccount: { name: 'ztunnel' } } }
  const signed = (change: (jwt: SignJWT) => SignJWT, payload: object = claims): Promise<string> =>
    change(
      new SignJWT({ ...payload })
        .setProtectedHeader({ alg: 'ES256' })
        .setIssuer('ztunnel-config-server')
        .setSubject('system:serviceaccount:istio-system:ztunnel')
        .setAudience('istio-ca')
        .setIssuedAt(now / 1000)
        .setExpirationTime(now / 1000 + 60),
    ).sign(key.privateKey)
  await refused(await signed((jwt) => jwt), /not bound to a node/)
  await refused(await signed((jwt) => jwt.setAudience('vault')), /for audience "vault", not "istio-ca"/)
  await refused(await signed((jwt) => jwt.setIssuer('someone')), /claim "iss"/)
  await refused(await signed((jwt) => jwt.setSubject('root')), /subject "root" is not a service account/)
  await refused(
    await signed((jwt) => jwt.setSubject('system:serviceaccount:a:b')),
    /claim is not about its subject/,
  )
  await refused(await signed((jwt) => jwt.setSubject('system:serviceaccount:a/b:c')), /namespace/)
  await refused(await signed((jwt) => jwt, {}), /claim is not about its subject/)
})

t.test('the algorithm is ours to choose, not the token', async (t) => {
  const key = createTokenKey()
  const issuer = new TokenIssuer(key)
  const [, payload = ''] = (await issuer.issueNodeToken({ node: 'n1', ttlSeconds: 60 })).split('.')
  const header = (alg: string): string => Buffer.from(JSON.stringify({ alg })).toString('base64url')
  await t.rejects(issuer.verify(`${header('none')}.${payload}.`), { code: 'TOKEN_INVALID' })
  const publicPem = key.publicKey.export({ type: 'spki', format: 'pem' })
  const mac = createHmac('sha256', publicPem)
    .update(`${header('HS256')}.${payload}`)
    .digest('base64url')
  await t.rejects(issuer.verify(`${header('HS256')}.${payload}.${mac}`), { code: 'TOKEN_INVALID' })
})

t.test('lifetimes and names are checked before signing', async (t) => {
  const issuer = new TokenIssuer(createTokenKey())
  for (const ttlSeconds of [0, -1, Number.NaN, 400 * 86_400]) {
    await t.rejects(issuer.issueNodeToken({ node: 'n', ttlSeconds }), { message: /token lifetime/ })
  }
  await t.rejects(issuer.issueNodeToken({ node: '', ttlSeconds: 9 }), { message: /needs the name/ })
  await t.rejects(issuer.issueWorkloadToken({ namespace: 'a:b', serviceAccount: 'c', ttlSeconds: 9 }), {
    message: /namespace "a:b"/,
  })
})

t.test('the key file is made once, private, by whoever is first', async (t) => {
  const file = join(t.testdir(), 'certs', 'token-key.pem')
  const issuers = await Promise.all(Array.from({ length: 6 }, () => TokenIssuer.loadOrCreate(file)))
  t.equal(statSync(file).mode & 0o777, 0o600)
  const token = await issuers[0]?.issueNodeToken({ node: 'n', ttlSeconds: 60 })
  for (const issuer of [...issuers, await TokenIssuer.loadOrCreate(file)]) {
    t.match(await issuer.verify(token ?? ''), { kind: 'node' })
  }
  const pem = readFileSync(file, 'utf8')
  writeFileSync(file, 'junk')
  await t.rejects(TokenIssuer.loadOrCreate(file), {
    code: 'CA_FILES_INVALID',
    message: /token-key.pem: cannot be used/,
  })
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey
  writeFileSync(file, p384.export({ type: 'pkcs8', format: 'pem' }))
  await t.rejects(TokenIssuer.loadOrCreate(file), { message: /not an EC P-256 key/ })
  t.match(pem, /PRIVATE KEY/)
})

t.test('the bearer token of a request', async (t) => {
  t.equal(bearerToken(new Headers({ authorization: 'Bearer abc.def' })), 'abc.def')
  t.equal(bearerToken(new Headers({ Authorization: 'bearer  x' })), 'x')
  t.throws(() => bearerToken(new Headers()), { code: 'TOKEN_INVALID', message: /no authorization header/ })
  for (const authorization of ['', 'Basic abc', 'Bearer', 'Bearer a b', 'Bearer a, Bearer b']) {
    t.throws(() => bearerToken(new Headers({ authorization })), { code: 'TOKEN_INVALID' }, authorization)
  }
})

t.test('any text is refused by an error of ours', async () => {
  const issuer = new TokenIssuer(createTokenKey())
  const part = fc.oneof(
    fc.base64String(),
    fc.json().map((json) => Buffer.from(json).toString('base64url')),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 5 }), async (parts) => {
      const outcome: unknown = await issuer.verify(parts.join('.')).catch((error: unknown) => error)
      return outcome instanceof Error && outcome.name === 'IdentityError'
    }),
  )
})
