import 'reflect-metadata'
import { X509Certificate } from 'node:crypto'
import { X509CertificateGenerator } from '@peculiar/x509'
import t from 'tap'
import { type RotationEvidence, rotateRoot } from './rotate-root.ts'
import { call, failed, wrong } from './test-support.ts'

const [oldRoot, newRoot] = [await certificate('old'), await certificate('new')]
const [oldCa, newCa] = [await certificate('old CA'), await certificate('new CA')]
const holder = (pem: string) => ({
  certificates: [
    {
      identity: 'spiffe://cluster.local/ns/demo/sa/sleep',
      certChain: [{ pem: base64('leaf') }, { pem: base64(pem) }],
    },
  ],
})
const replaced = (roots: number) =>
  `2026-11-21T16:42:16Z\tinfo\tconfig_server\tCA replaced\tdir="/certs" roots=${roots}`
const right: RotationEvidence = {
  ca: caOf(newCa, newRoot),
  log: [replaced(2), replaced(2), replaced(1)],
  dumps: { 'proxy-a': holder(newCa), 'proxy-b': holder(newCa) },
  rootFiles: { 'proxy-a': newRoot, 'proxy-b': newRoot },
  call: call(),
}
const wrongWith = (evidence: Partial<RotationEvidence>) => wrong(rotateRoot.judge({ ...right, ...evidence }))

t.test('right: one new root everywhere', (t) => {
  t.strictSame(wrongWith({}), [])
  t.end()
})

t.test('wrong: nothing was rotated', (t) => {
  const start = {
    ca: caOf(oldCa, oldRoot),
    log: [],
    dumps: { 'proxy-a': holder(oldCa), 'proxy-b': holder(oldCa) },
  }
  const rootFiles = { 'proxy-a': oldRoot, 'proxy-b': oldRoot }
  t.match(wrongWith({ ...start, rootFiles }), [/^a second root was added/])
  t.end()
})

t.test('wrong: in the middle, and the hint says until when to wait', (t) => {
  const ca = { ...caOf(newCa, oldRoot, newRoot), olderCertificatesUntil: Date.UTC(2026, 10, 21, 17) }
  const findings = rotateRoot.judge({ ...right, ca, dumps: { ...right.dumps, 'proxy-b': holder(oldCa) } })
  t.match(wrong(findings), [/^one root is left/, /in proxy-b is signed/, /^proxy-a knows/, /^proxy-b knows/])
  t.match(findings.find(({ what }) => what === 'one root is left')?.hint, /until 2026-11-21T17:00:00/)
  t.end()
})

t.test('wrong: no certificates, a roots file that was not handed out, no connection', (t) => {
  t.match(wrongWith({ dumps: { ...right.dumps, 'proxy-a': { certificates: [] } } }), [/in proxy-a is signed/])
  t.match(wrongWith({ rootFiles: { 'proxy-a': newRoot, 'proxy-b': oldRoot + newRoot } }), [/^proxy-b knows/])
  t.match(wrongWith({ call: failed('sleep') }), [/^sleep reaches httpbin/])
  t.end()
})

function caOf(issuer: string, ...roots: readonly string[]): object {
  const fingerprint256 = (pem: string) => new X509Certificate(pem).fingerprint256
  return {
    fingerprint256: fingerprint256(issuer),
    roots: roots.map((pem) => ({ fingerprint256: fingerprint256(pem) })),
  }
}

async function certificate(name: string): Promise<string> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const made = await X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    keys,
    signingAlgorithm: algorithm,
  })
  return `${made.toString('pem')}\n`
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
