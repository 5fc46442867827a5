// Our CA and a client of another make: grpc-js, the request by field number, the
// signing request and the judgement of the chain by OpenSSL.
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { encodeCertificateRequest } from '../support/foreign-ztunnel.ts'
import { type MeshForForeigners, meshForForeigners } from '../support/mesh-for-foreigners.ts'
import { lengthField, messages, readFields, strings, varintField } from '../support/wire.ts'

const CREATE = '/istio.v1.auth.IstioCertificateService/CreateCertificate'
const A = 'spiffe://cluster.local/ns/foo/sa/a'
const DAY = 86_400

t.test('certificates for the Rust program', async (t) => {
  const world = await meshForForeigners(t)
  const folder = t.testdir({})
  const csr = signingRequest(folder, A)
  const node = await world.ztunnel()
  const ask = async (seconds: number | bigint, identity: string | undefined = A, text = csr) => {
    const answer = readFields(await node.unary(CREATE, encodeCertificateRequest(text, seconds, identity)))
    t.strictSame([...answer.keys()], [1], 'cert_chain and nothing else')
    return strings(answer, 1)
  }

  await t.test('leaf, intermediates, roots: one PEM block each, good for both ends of TLS', async (t) => {
    const chain = await ask(DAY)
    t.equal(chain.length, 3)
    for (const pem of chain) t.match(pem, /^-----BEGIN CERTIFICATE-----\n[^-]+-----END CERTIFICATE-----\n$/)
    t.equal(chain[2], world.rootsPem)
    for (const purpose of ['sslserver', 'sslclient']) t.match(verify(folder, chain, purpose), /: OK/)
    const text = describe(folder, chain[0])
    t.match(text, /Subject: *\n/, 'an empty subject')
    t.match(text, new RegExp(`Subject Alternative Name: critical\\s+URI:${A}\\s`))
    t.match(text, /Digital Signature, Key Encipherment/)
    t.match(text, /id-ecPublicKey[\s\S]*prime256v1/)
    t.equal(publicKeyOf(folder, chain[0]), ownPublicKey(folder), 'for the key of the request')
  })

  await t.test('the name in the signing request counts for nothing', async (t) => {
    const [leaf = ''] = await ask(DAY, A, signingRequest(t.testdir({}), 'spiffe://cluster.local/ns/foo/sa/b'))
    t.match(describe(folder, leaf), `URI:${A}`)
    const [own = ''] = await ask(DAY, '')
    t.match(describe(folder, own), 'URI:spiffe://cluster.local/ns/istio-system/sa/ztunnel', "the token's own")
  })

  await t.test('lifetimes: as asked, a day when nothing is asked for', async (t) => {
    for (const [seconds, expected] of [
      [300, 300],
      [0, DAY],
      [-5, DAY],
    ] as const) {
      const [leaf = ''] = await ask(seconds)
      // istiod begins two minutes early, for clocks that are behind.
      t.equal(lifetime(folder, leaf), expected + 120, `${seconds} s`)
    }
    await t.rejects(ask(91 * DAY), { code: 3, details: /maximum/ })
    await t.rejects(ask(2n ** 62n), { code: 3, details: /maximum/ })
  })

  await t.test('refusals have the status that istiod gives', async (t) => {
    const good = encodeCertificateRequest(csr, DAY, A)
    const stranger = await world.ztunnel({ token: undefined })
    await t.rejects(stranger.unary(CREATE, good), { code: 16 }, 'no token')
    const forged = await world.ztunnel({ token: 'abc.def.ghi' })
    await t.rejects(forged.unary(CREATE, good), { code: 16 }, 'a token of nobody')
    await t.rejects(ask(DAY, 'spiffe://cluster.local/ns/foo/sa/b'), { code: 16 }, 'it runs on another node')
    await t.rejects(ask(DAY, 'spiffe://other.domain/ns/foo/sa/a'), { code: 16 }, 'another trust domain')
    await t.rejects(ask(DAY, `${A}/`), { code: 16 }, 'no SPIFFE id of Istio')
    await t.rejects(ask(DAY, A, 'no PEM'), { code: 3 }, 'no signing request')
    await t.rejects(ask(DAY, A, csr.slice(0, 200)), { code: 3 }, 'half a signing request')
    await t.rejects(node.unary(CREATE, Buffer.from('0affff', 'hex')), { code: /^(3|13)$/ }, 'no message')
    await t.rejects(node.unary(CREATE, lengthField(1, 'x'.repeat(1 << 20))), { code: 8 }, 'too long')
    await t.rejects(node.unary('/istio.v1.auth.IstioCertificateService/Sign', good), { code: 12 })
    t.equal((await ask(DAY)).length, 3, 'and all is well afterwards')
  })

  await t.test('what a newer client adds is passed over', async (t) => {
    const unknown = Buffer.concat([varintField(77, 1), lengthField(78, 'of the year 2030')])
    const answer = await node.unary(CREATE, Buffer.concat([encodeCertificateRequest(csr, DAY, A), unknown]))
    t.equal(messages(readFields(answer), 1).length, 3)
  })

  await aWorkloadsOwn(t, world, csr)
})

async function aWorkloadsOwn(t: Test, { server, ztunnel }: MeshForForeigners, csr: string): Promise<void> {
  await t.test('a proxy of one workload does not say whom it wants to be', async (t) => {
    const owner = { namespace: 'foo', serviceAccount: 'b', ttlSeconds: 60 }
    const own = await ztunnel({ token: await server.issuer.issueWorkloadToken(owner) })
    const answer = readFields(await own.unary(CREATE, encodeCertificateRequest(csr, DAY, undefined)))
    t.match(describe(t.testdir({}), strings(answer, 1)[0]), 'URI:spiffe://cluster.local/ns/foo/sa/b')
    await t.rejects(own.unary(CREATE, encodeCertificateRequest(csr, DAY, A)), { code: 16 })
  })
}

/** As the Rust program makes it: EC P-256, no subject, the identity as the only name, critical. */
function signingRequest(folder: string, identity: string): string {
  const key = join(folder, 'key.pem')
  openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', key)
  const name = `subjectAltName=critical,URI:${identity}`
  return openssl('req', '-new', '-sha256', '-key', key, '-subj', '/', '-addext', name)
}

function verify(folder: string, chain: readonly string[], purpose: string): string {
  const [leaf = '', ...rest] = chain
  const files = { leaf, between: rest.slice(0, -1).join(''), roots: rest.at(-1) ?? '' }
  for (const [name, pem] of Object.entries(files)) writeFileSync(join(folder, name), pem)
  const at = (name: string) => join(folder, name)
  return openssl(
    ...['verify', '-x509_strict', '-purpose', purpose],
    ...['-CAfile', at('roots'), '-untrusted', at('between'), at('leaf')],
  )
}

function describe(folder: string, pem = ''): string {
  return openssl('x509', '-noout', '-text', '-in', written(folder, pem))
}

function publicKeyOf(folder: string, pem = ''): string {
  return openssl('x509', '-noout', '-pubkey', '-in', written(folder, pem))
}

function ownPublicKey(folder: string): string {
  return openssl('pkey', '-pubout', '-in', join(folder, 'key.pem'))
}

/** Seconds from notBefore to notAfter. */
function lifetime(folder: string, pem: string): number {
  const dates = openssl('x509', '-noout', '-dates', '-in', written(folder, pem)).trim().split('\n')
  const [from = Number.NaN, to = Number.NaN] = dates.map((line) => Date.parse(line.split('=')[1] ?? ''))
  return (to - from) / 1000
}

function written(folder: string, pem: string): string {
  const file = join(folder, 'certificate.pem')
  writeFileSync(file, pem)
  return file
}

function openssl(...args: string[]): string {
  return execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}
