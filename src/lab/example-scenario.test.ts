import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { Example } from './example.ts'
import { scenariosOf } from './example-scenario.ts'
import { COEXISTENCE } from './scenario.ts'
import { loadTopology } from './topology.ts'

const topology = await loadTopology(fileURLToPath(new URL('../../labs/coexistence', import.meta.url)))
const connection = {
  from: 'foo/sleep',
  to: 'bar-1/httpbin',
  port: 'http',
  by: undefined,
  family: undefined,
  verdict: 'allowed',
  policy: undefined,
  dryRun: [],
  why: 'x',
  line: 7,
} as const

function example(...connections: Example['connections']): Example {
  return { name: 'e', title: 'e', manifests: undefined, mesh: '', file: 'e/connections.yaml', connections }
}

t.test("paths and proofs are derived as the lab's own connections state them", async (t) => {
  for (const { from, target, traffic, expected, id } of COEXISTENCE) {
    if (expected.waypoint !== undefined) continue
    const { to, port, by } = target
    const { verdict, policy } = expected
    const [derived] = scenariosOf(example({ ...connection, from, to, port, by, verdict, policy }), topology)
    t.same(derived?.expected, { ...expected, dryRun: [] }, id)
    if (traffic.kind !== 'download') t.equal(derived?.traffic.kind, traffic.kind)
  }
})

t.test('a client in the mesh dials the service, another one the pod', async (t) => {
  const byDefault = (from: string, to = 'bar-1/httpbin') =>
    scenariosOf(example({ ...connection, from, to }), topology)[0]?.target.by
  t.equal(byDefault('foo/sleep'), 'service')
  t.equal(byDefault('plain/client'), 'pod')
  t.equal(byDefault('foo/sleep', 'outside'), 'pod')
})

t.test('ends that the mesh does not have are refused, with the line', async (t) => {
  for (const [changed, message] of [
    [{ from: 'foo/nobody' }, 'e/connections.yaml:7: from: the mesh has no pod foo/nobody'],
    [{ to: 'foo/nobody' }, 'e/connections.yaml:7: to: the mesh has no pod foo/nobody'],
    [{ to: 'foo/sleep' }, 'e/connections.yaml:7: to: foo/sleep has no port named http'],
  ] as const) {
    t.throws(() => scenariosOf(example({ ...connection, ...changed }), topology), {
      code: 'bad-example',
      message,
    })
  }
})
