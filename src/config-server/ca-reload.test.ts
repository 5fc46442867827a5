import { X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect } from 'node:tls'
import t from 'tap'
import { addRoot, dropRoots, rotateIntermediate, silentLog, useRoot } from '../identity/index.ts'
import { AMBIENT_NAMESPACE, caClient, pod, testMesh, until } from './test-support.ts'

const ID = { trustDomain: 'cluster.local', namespace: 'foo', serviceAccount: 'a' }

/** The issuer of the server's TLS certificate, as a client that trusts these roots sees it; or why it does not. */
function serverIssuer(port: number, ca: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, ca, ALPNProtocols: ['h2'] }, () => {
      const issuer = socket.getPeerX509Certificate()?.issuerCertificate?.toString() ?? 'none'
      socket.destroy()
      resolve(issuer)
    })
    socket.on('error', (error) => resolve(error.message))
  })
}

t.test('the CA is replaced step by step while a client goes on renewing', async (t) => {
  const mesh = testMesh(t, { 'mesh.yaml': AMBIENT_NAMESPACE + pod('a') })
  const server = await mesh.start()
  const client = caClient(t, mesh, server, () =>
    server.issuer.issueNodeToken({ node: 'node-a', ttlSeconds: 60 }),
  )
  const inForce = (pem: string) =>
    server.status().ca.fingerprint256 === new X509Certificate(pem).fingerprint256
  const first = await client.fetch(ID)
  const oldRoot = first.roots.join('')

  const next = await rotateIntermediate(mesh.certsDir)
  await until('the intermediate', () => inForce(next.issuerPem))
  t.same((await client.fetch(ID)).certificateChain.slice(1), [next.issuerPem])
  const end = first.notAfter.getTime()
  t.equal(server.status().ca.olderCertificatesUntil, end, 'when the last certificate of before ends')

  const both = await addRoot(mesh.certsDir)
  await until('both roots', () => server.status().ca.roots.length === 2)
  t.same((await client.fetch(ID)).roots, both.roots)

  const used = await useRoot(mesh.certsDir)
  await until('the new CA', () => inForce(used.issuerPem))
  t.same((await client.fetch(ID)).certificateChain.slice(1), [used.issuerPem])
  const newRoot = both.roots[1] ?? ''
  let issuer = ''
  for (const end = performance.now() + 10_000; issuer !== used.issuerPem && performance.now() < end; )
    issuer = await serverIssuer(server.address.port, newRoot)
  t.equal(issuer, used.issuerPem, 'its own certificate is of the new CA')
  t.match(await serverIssuer(server.address.port, oldRoot), /unable to get local issuer/)

  await dropRoots(mesh.certsDir)
  await until('one root', () => server.status().ca.roots.length === 1)
  t.same((await client.fetch(ID)).roots, [newRoot], 'by a connection that trusts the new root only')
})

t.test('files that make no CA are reported, and the last good CA signs on', async (t) => {
  const mesh = testMesh(t, { 'mesh.yaml': AMBIENT_NAMESPACE + pod('a') })
  const errors: string[] = []
  const log = { ...silentLog, error: (_fields: object, message: string) => void errors.push(message) }
  const server = await mesh.start({ log })
  const client = caClient(t, mesh, server, () =>
    server.issuer.issueNodeToken({ node: 'node-a', ttlSeconds: 60 }),
  )
  const before = server.status().ca
  writeFileSync(join(mesh.certsDir, 'ca-cert.pem'), 'junk')
  await until('the problem', () => server.status().ca.problem !== undefined)
  t.match(server.status().ca, { ...before, problem: /ca-cert.pem: holds no PEM certificate/ })
  t.match(errors, [/the CA that was read last goes on signing/])
  t.match(await client.fetch(ID), { id: ID })
  await rotateIntermediate(mesh.certsDir)
  await until('the repair', () => server.status().ca.problem === undefined)
  t.not(server.status().ca.fingerprint256, before.fingerprint256)
})
