import '../support/own-namespaces.ts'
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { runCommand } from '../../src/lab/command.ts'
import { startLab } from '../../src/lab/mesh-lab.ts'
import { until } from '../support/until.ts'

const MANIFESTS = fileURLToPath(new URL('../../labs/dual-stack', import.meta.url))

t.test('annotations of a pod say what is captured, also while it runs', async (t) => {
  const manifests = mkdtempSync(join(tmpdir(), 'annotations-'))
  cpSync(MANIFESTS, manifests, { recursive: true })
  await using lab = await startLab({ manifests })
  const file = join(lab.state.config, 'bar-1.yaml')
  const original = readFileSync(file, 'utf8')
  const annotate = (annotations: string): void =>
    writeFileSync(
      file,
      original.replace('name: httpbin\n  labels:', `name: httpbin\n  annotations: ${annotations}\n  labels:`),
    )
  const namespace = lab.network.namespace('bar-1.httpbin')
  const rules = async (): Promise<string> =>
    (await runCommand('iptables-save', [], { namespace })) +
    (await runCommand('ip6tables-save', [], { namespace }))
  const denied = { to: 'bar-1/httpbin', by: 'pod', port: 'tcp' } as const

  t.equal((await lab.get('plain/client', { ...denied, port: 'http' })).ok, false, 'captured and refused')
  annotate(`{ ambient.istio.io/bypass-inbound-capture: 'true' }`)
  await until(
    async () => !(await rules()).includes('--to-ports 15006'),
    'inbound plaintext is not redirected',
  )
  const bypassed = await lab.get('plain/client', { ...denied, port: 'http' })
  t.match(bypassed, { ok: true, status: 200 }, 'plaintext reaches the application itself')
  t.match(await lab.get('foo/sleep', { to: 'bar-1/httpbin', by: 'service', port: 'http' }), {
    ok: true,
    status: 200,
  })

  annotate(`{ ambient.istio.io/dns-capture: 'true' }`)
  await until(
    async () => (await rules()).match(/--to-ports 15053/g)?.length === 4,
    'DNS is redirected, in both families',
  )
  t.match(await rules(), /-A ISTIO_PRERT .*--sport 53 -j CT --zone 1/)
  t.match(await rules(), '--to-ports 15006', 'and plaintext is again')
})
