import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { parse } from 'yaml'

const PROGRAM = new URL('../../bin/ztunnel.js', import.meta.url).pathname
const LAB = new URL('../../labs/coexistence', import.meta.url).pathname

async function config(...args: readonly string[]) {
  const child = spawn(process.execPath, [PROGRAM, 'config', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ])
  return { stdout, stderr, code }
}

/** The lab's folder with one text of one file replaced. */
function changed(dir: string, file: string, from: string, to: string): string {
  cpSync(LAB, dir, { recursive: true })
  const path = join(dir, file)
  const before = readFileSync(path, 'utf8')
  const after = before.replace(from, to)
  if (after === before) throw new Error(`${file} has no ${from}`)
  writeFileSync(path, after)
  return dir
}

t.test('validate finds nothing to say of the labs', async (t) => {
  for (const lab of ['coexistence', 'dual-stack']) {
    const { stdout, code } = await config('validate', join(LAB, '..', lab))
    t.match(stdout, /^\d+ files, \d+ objects in force: 0 errors, 0 warnings\n$/, lab)
    t.equal(code, 0)
  }
})

t.test('a warning leaves the exit status 0, an error makes it 1', async (t) => {
  const typo = changed(t.testdir(), 'authorization-policies.yaml', 'sa/sleep-sidecar', 'sa/sleep-sidecra')
  t.match(await config('validate', typo), {
    stdout:
      /^authorization-policies.yaml:16:17: warning: spec.rules\[0\].from\[0\].source.principals\[1\]: .*\n8 files, .*: 0 errors, 1 warning\n$/,
    code: 0,
  })
  const twice = changed(t.testdir(), 'bar-1.yaml', 'ip: 10.244.2.12', 'ip: 10.244.2.10')
  t.match(await config('validate', twice), {
    stdout:
      /^bar.yaml:\d+:3: error: status.podIP: 10.244.2.10 is the address of Pod bar-1\/httpbin too, at bar-1.yaml:\d+:3\n/,
    code: 1,
  })
  const { stdout, code } = await config('validate', '--json', twice)
  t.match(JSON.parse(stdout), {
    files: 8,
    errors: 1,
    warnings: 0,
    problems: [{ file: 'bar.yaml', severity: 'error' }],
  })
  t.equal(code, 1)
})

t.test('show prints the resources by name, of one type if asked', async (t) => {
  const { stdout, code } = await config('show', LAB)
  t.match(parse(stdout), {
    services: { 'bar-1/httpbin.bar-1.svc.cluster.local': { addresses: [{ address: '10.96.2.12' }] } },
    workloads: { 'Kubernetes//Pod/bar-1/httpbin': { tunnelProtocol: 'HBONE', addresses: ['10.244.2.12'] } },
    policies: { 'bar-3/deny-foo-web': { action: 'DENY', scope: 'NAMESPACE' } },
  })
  t.equal(code, 0)
  const policies = JSON.parse((await config('show', '--json', '--type', 'policy', LAB)).stdout)
  t.strictSame(
    policies.map(({ name }: { name: string }) => name),
    ['bar-1/httpbin-allow-sleep', 'bar-3/deny-foo-web'],
  )
})

t.test('diff prints what a change would push', async (t) => {
  const moved = changed(t.testdir(), 'bar-1.yaml', 'nodeName: node-b', 'nodeName: node-c')
  t.match(await config('diff', LAB, moved), {
    stdout:
      '~ workload Kubernetes//Pod/bar-1/httpbin\n    node: "node-b" → "node-c"\n0 added, 1 changed, 0 removed, 23 as before\n',
    code: 0,
  })
  const { stdout } = await config('diff', '--json', LAB, moved)
  t.match(JSON.parse(stdout), [
    { change: 'changed', fields: [{ field: 'node', before: 'node-b', after: 'node-c' }] },
  ])
})

t.test('several folders are read as one', async (t) => {
  const root = t.testdir({ apps: {}, policies: {} })
  const [apps, policies] = [join(root, 'apps'), join(root, 'policies')]
  cpSync(LAB, apps, { recursive: true })
  renameSync(join(apps, 'authorization-policies.yaml'), join(policies, 'p.yaml'))
  t.match(await config('validate', apps, policies), {
    stdout: /^8 files, \d+ objects in force: 0 errors, 0 warnings\n$/,
    code: 0,
  })
  t.equal((await config('show', policies, apps)).stdout, (await config('show', LAB)).stdout)
  t.match(await config('diff', '--with', policies, apps, apps), {
    stdout: '0 added, 0 changed, 0 removed, 24 as before\n',
    code: 0,
  })
})

t.test('a folder that no config server would serve is explained, not shown in part', async (t) => {
  const broken = changed(t.testdir(), 'authorization-policies.yaml', 'action: DENY', 'actoin: DENY')
  for (const args of [
    ['show', broken],
    ['diff', LAB, broken],
  ]) {
    const { stdout, stderr, code } = await config(...args)
    t.match({ stdout, code }, { stdout: '', code: 1 })
    t.match(
      stderr,
      /authorization-policies.yaml:\d+:\d+: error: spec.actoin: unknown field[\s\S]*would not begin to serve/,
    )
  }
  t.match(await config('show', '/nonexistent'), { code: 1, stderr: /^ztunnel config show: ENOENT/ })
  t.match(await config('validate', '/nonexistent'), { code: 1, stderr: /^ztunnel config validate: ENOENT/ })
})
