import '../support/own-namespaces.ts'
import t from 'tap'
import { addRoot, type CaMaterial, dropRoots, rotateIntermediate, useRoot } from '../../src/identity/index.ts'
import { type MeshLab, startLab } from '../../src/lab/mesh-lab.ts'
import { certificatesOf } from '../support/certificates.ts'
import { startLongTransfer, startSteadyConnections } from '../support/client-program.ts'
import { until } from '../support/until.ts'

/** Where the proxies of both connections are: two nodes, a node, and a sidecar. */
const PROXIES = ['node-a', 'node-b', 'node-d', 'foo/sleep-sidecar']

// It waits for every certificate to be renewed, four times.
t.setTimeout(180_000)

t.test('intermediate and root are replaced, and no connection fails meanwhile', async (t) => {
  await using lab = await startLab({ svidTtl: '12s' })
  const bar1 = lab.resolve({ to: 'bar-1/httpbin', by: 'service', port: 'tcp' })
  const bar2 = lab.resolve({ to: 'bar-3/helloworld', by: 'service', port: 'tcp' })
  const pace = { atOnce: 1, pauseMs: 50 }
  const transfer = await startLongTransfer(lab, 'foo/sleep', bar1)
  const began = [...(await certificatesOf(lab, 'node-a')), ...(await certificatesOf(lab, 'node-b'))]
  const steady = [
    await startSteadyConnections(lab, 'foo/sleep', bar1, pace),
    await startSteadyConnections(lab, 'foo/sleep-sidecar', bar2, pace),
  ]

  // As docs/certificates.md has it; each step when the one before has reached everyone.
  const steps: readonly [name: string, run: (dir: string) => Promise<CaMaterial>][] = [
    ['rotate intermediate', rotateIntermediate],
    ['rotate add-root', addRoot],
    ['rotate use-root', useRoot],
    ['rotate drop-root', dropRoots],
  ]
  const rootsSeen = new Set<string>()
  for (const [name, run] of steps) {
    const material = await run(lab.state.certs)
    await until(() => allRenewed(lab, material), `${name}: every certificate is of this step`, 40_000)
    rootsSeen.add(material.rootsPem)
  }
  t.equal(rootsSeen.size, 3, 'one root, both, the other')

  // The connection to the control plane trusts the new root only.
  await lab.stopConfigServer()
  await lab.startConfigServer()
  const serials = await serialsOf(lab, 'node-a')
  await until(
    async () => [...(await serialsOf(lab, 'node-a'))].every((serial) => !serials.has(serial)),
    'certificates from the config server that was started again',
    40_000,
  )

  for (const program of steady) {
    const { made, failed, errors } = await program.finish()
    t.same({ failed, errors }, { failed: 0, errors: [] }, `${made} connections`)
    t.ok(Number(made) > 50, `${made} connections are enough to mean something`)
  }
  const ends = began.map(({ chain }) => chain[0]?.expires ?? Number.POSITIVE_INFINITY)
  t.ok(Math.max(...ends) < Date.now(), 'the certificates that the first connections began with have ended')
  const result = await transfer.finish()
  t.equal(result['error'], undefined)
  t.equal(
    result['sha256'],
    result['expected'],
    'the connection of before the first step goes on, every byte of it',
  )
})

async function allRenewed(lab: MeshLab, { intermediatesPem, rootsPem }: CaMaterial): Promise<boolean> {
  const wanted = intermediatesPem.join('')
  for (const proxy of PROXIES) {
    const identities = await certificatesOf(lab, proxy)
    if (identities.length === 0) return false
    for (const { chain, roots } of identities) {
      const above = chain.slice(1).map(({ pem }) => pem)
      if (above.join('') !== wanted || roots.map(({ pem }) => pem).join('') !== rootsPem) return false
    }
  }
  return true
}

async function serialsOf(lab: MeshLab, proxy: string): Promise<ReadonlySet<string>> {
  const identities = await certificatesOf(lab, proxy)
  return new Set(identities.map(({ chain }) => chain[0]?.serialNumber ?? ''))
}
