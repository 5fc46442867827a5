import type { Test } from 'tap'
import { httpGetIn } from '../../src/lab/http-probe.ts'
import { type LabOptions, startLab } from '../../src/lab/mesh-lab.ts'

/** Starts a lab where there is no IPv6 and makes each kind of connection that does without. */
export async function worksOverIpv4(t: Test, options: LabOptions): Promise<void> {
  await using lab = await startLab(options)
  const hbone = await lab.get('foo/sleep', { to: 'bar-1/httpbin', by: 'service', port: 'http' })
  t.match(hbone, { ok: true, status: 200 }, 'from a pod to a service, by identity')
  t.equal(JSON.parse(hbone.body ?? '{}').from, '10.244.1.10', 'with the address of the client')
  const plain = await lab.get('plain/client', { to: 'bar-3/helloworld', by: 'pod', port: 'http' })
  t.match(plain, { ok: true, status: 200 }, 'plaintext into a captured pod')
  const outside = await lab.get('foo/sleep', { to: 'outside', by: 'pod', port: 'http' })
  t.match(outside, { ok: true, status: 200 }, 'from a captured pod to outside')
  const node = lab.network.namespace('node-a')
  for (const [port, path] of [
    [15000, '/config_dump'],
    [15020, '/metrics'],
    [15021, '/healthz/ready'],
  ] as const) {
    t.equal((await httpGetIn(node, port, path)).status, 200, `port ${port}`)
  }
}
