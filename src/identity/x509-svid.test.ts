import { inspect } from 'node:util'
import t from 'tap'
import { createCsr } from './csr.ts'
import { generateKeyPair, privateKeyPem } from './keys.ts'
import { newAuthority, workloadId } from './test-support.ts'
import { createSvid, exportPrivateKeyPem } from './x509-svid.ts'

const ID = workloadId('a')

async function answer() {
  const authority = await newAuthority()
  const keys = await generateKeyPair()
  const chain = await authority.sign({ csrPem: await createCsr(ID, keys), id: ID, ttlSeconds: 3_600 })
  return { authority, chain, key: privateKeyPem(keys.privateKey) }
}

t.test('leaf and intermediates are presented, roots are trusted', async (t) => {
  const { chain, key, authority } = await answer()
  const svid = createSvid({ id: ID, privateKeyPem: key, certChainPem: chain })
  t.equal(svid.certificateChain.length, 2)
  t.same(svid.roots, authority.material.roots)
  t.match(svid.serialNumber, /^\d+$/)
  t.equal(svid.notAfter.getTime() - svid.notBefore.getTime(), (3_600 + 120) * 1_000)
  t.equal(svid.clientContext(), svid.clientContext(), 'the context is made once')
})

t.test('answers that cannot be used are refused by their reference texts', async (t) => {
  const { chain, key } = await answer()
  const material = { id: ID, privateKeyPem: key, certChainPem: chain }
  const refused = (certChainPem: readonly string[], message: RegExp, id = ID): void => {
    t.throws(() => createSvid({ ...material, certChainPem, id }), { code: 'CHAIN_INVALID', message })
  }
  refused([], /^chain returned from CA is empty$/)
  refused(chain.slice(0, 1), /^no root certificate present$/)
  refused([...chain.slice(0, -1), 'nothing here'], /^no root certificate present$/)
  refused(['', ...chain], /element 0 of the chain from the CA holds no PEM certificate/)
  refused(chain, /^did not find expected SAN/, workloadId('b'))
  refused(chain, /^did not find expected SAN/, workloadId('a', 'other.domain'))
  refused(chain.slice(1), /^did not find expected SAN/)
  const other = privateKeyPem((await generateKeyPair()).privateKey)
  t.throws(() => createSvid({ ...material, privateKeyPem: other }), {
    message: /not for the key in the request/,
  })
})

t.test('several roots are trusted; one that cannot be parsed is left out with a warning', async (t) => {
  const { chain, key } = await answer()
  const second = (await newAuthority()).material.rootsPem
  const broken = '-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n'
  const warnings: string[] = []
  const svid = createSvid({
    id: ID,
    privateKeyPem: key,
    certChainPem: [...chain.slice(0, -1), `${chain.at(-1)}${broken}${second}`],
    warn: (message) => warnings.push(message),
  })
  t.equal(svid.roots.length, 2)
  t.equal(warnings.length, 1)
  t.match(warnings[0], /root certificate .* cannot be parsed/)
})

t.test('the key shows in no dump, and comes out by the one function that says so', async (t) => {
  const { chain, key } = await answer()
  const svid = createSvid({ id: ID, privateKeyPem: key, certChainPem: chain })
  svid.clientContext()
  t.notMatch(JSON.stringify(svid), /PRIVATE/)
  t.notMatch(inspect(svid, { depth: 10, showHidden: true }), /PRIVATE/)
  t.equal(exportPrivateKeyPem(svid), key)
  t.throws(() => exportPrivateKeyPem({ ...svid }), TypeError)
})
