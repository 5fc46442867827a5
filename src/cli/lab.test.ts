import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { ztunnelProgram } from '../lab/app.ts'

t.test('--sidecar envoy where Envoy cannot be had: says why, and how to bring one', async (t) => {
  const empty = await mkdtemp(join(tmpdir(), 'no-envoy-'))
  t.teardown(() => rm(empty, { recursive: true, force: true }))
  const { status, errors } = await lab(['--once', '--sidecar', 'envoy'], {
    HOME: empty,
    TMPDIR: empty,
    ZTUNNEL_ENVOY: '',
    // Port 1: nobody answers, network or not.
    PIP_INDEX_URL: 'http://127.0.0.1:1/',
    PIP_RETRIES: '0',
  })
  t.equal(status, 1)
  t.match(errors, /--sidecar envoy: Envoy [\d.]+ cannot be had: .*python3/)
  t.match(errors, /ZTUNNEL_ENVOY/)
})

t.test('--sidecar envoy with a program that is not there: no other is taken', async (t) => {
  const { status, errors } = await lab(['--once', '--sidecar', 'envoy'], { ZTUNNEL_ENVOY: '/nonexistent' })
  t.equal(status, 1)
  t.match(errors, /ZTUNNEL_ENVOY names \/nonexistent, which is not there/)
})

t.test('--sidecar envoy and examples exclude each other; other proxies are not known', async (t) => {
  const both = await lab(['--sidecar', 'envoy', 'examples/policies/03-allow-namespace'])
  t.match(both, { status: 1, errors: /--sidecar envoy and examples exclude each other/ })
  t.match(await lab(['--sidecar', 'other']), { status: 1, errors: /Allowed choices are ztunnel, envoy/ })
})

async function lab(
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ status: unknown; errors: string }> {
  const child = spawn(process.execPath, [ztunnelProgram(), 'lab', ...argv], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '', ...env },
  })
  const exited = new Promise((resolve) => child.once('exit', resolve))
  const [errors, status] = await Promise.all([text(child.stderr), exited])
  return { status, errors }
}
