import { spawnSync } from 'node:child_process'
import t from 'tap'
import { ztunnelProgram } from '../lab/app.ts'

function run(argv: readonly string[], env: Record<string, string>) {
  return spawnSync(process.execPath, [ztunnelProgram(), ...argv], {
    encoding: 'utf8',
    cwd: t.testdir({}),
    env: { PATH: process.env['PATH'] ?? '', ...env },
  })
}

t.test('`proxy ztunnel`, as Istio’s chart starts it, is the proxy', async (t) => {
  const { status, stderr } = run(['proxy', 'ztunnel'], {})
  t.equal(status, 1)
  t.match(stderr, /no root certificate for the control plane/, 'it came as far as its configuration')
})

t.test('a misspelt variable ends the start with what was meant', async (t) => {
  const { status, stderr } = run(['proxy'], {
    XDS_ROOT_CA: 'SYSTEM',
    CA_ROOT_CA: 'SYSTEM',
    ZTUNNEL_STAT_PORT: '1',
  })
  t.equal(status, 1)
  t.match(stderr, /unknown env var ZTUNNEL_STAT_PORT \(did you mean ZTUNNEL_STATS_PORT\?\)/)
})

t.test('a local mesh with an error ends the start with file, line, column and field', async (t) => {
  const mesh = `${t.testdir({ 'mesh.yaml': 'workloads:\n  - { namespace: a, workloadIps: [x] }\n' })}/mesh.yaml`
  const { status, stderr } = run(['proxy'], { CA_ROOT_CA: 'SYSTEM', XDS_ADDRESS: '', LOCAL_XDS_PATH: mesh })
  t.equal(status, 1)
  t.match(stderr, `${mesh}:2:35: workloads[0].workloadIps[0]: expected an IPv4 or IPv6 address, got "x"`)
})
