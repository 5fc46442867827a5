import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { composeMesh } from './compose-mesh.ts'
import type { ComposeMesh } from './model.ts'
import { RECORDED } from './test-support.ts'

/** Containers that are named as their services. */
const LIST = `case "$*" in
  *" ps "*) printf 'sleep\\nguest\\nconfig-server\\nproxy-a\\nproxy-b\\n'; exit ;;
  inspect*) shift 3; for id; do case $id in guest) state=exited ;; *) state=running ;; esac; echo "$id $id $state"; done; exit ;;
esac`

/** A program in Docker's place, which answers what the script says. */
function meshOf(t: Test, script: string): ComposeMesh {
  const root = mkdtempSync(join(tmpdir(), 'checks-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  writeFileSync(join(root, 'docker'), `#!/bin/sh\n${LIST}\n${script}\n`)
  chmodSync(join(root, 'docker'), 0o755)
  return composeMesh({ root, env: { PATH: `${root}:/usr/bin:/bin` } })
}

t.test('a call has its status, its body and its lines of all proxies', async (t) => {
  const mesh = meshOf(
    t,
    `case "$*" in
      *" curl "*) printf 'hello\\n-- 200 0 172.18.0.11 34624' ;;
      *" proxy-a") printf '%s' '2026-11-21T16:49:35Z\t${RECORDED.sent}' ;;
      *" proxy-b") printf '%s' '2026-11-21T16:49:35Z\t${RECORDED.arrived}' ;;
      *) exit 1 ;;
    esac`,
  )
  const made = await mesh.call('sleep', 'http://httpbin:8000/hello')
  t.match(made, { from: 'sleep', status: 200, exit: 0, body: 'hello' })
  t.strictSame(
    made.lines.map(({ proxy }) => proxy),
    ['proxy-a', 'proxy-b'],
  )
})

t.test('a refused call is no failure of the check; a client that does not run is', async (t) => {
  const refused = meshOf(
    t,
    `case "$*" in *" curl "*) printf '\\n-- 000 56 172.18.0.3 55244'; exit 56 ;; esac`,
  )
  t.match(await refused.call('sleep', 'http://httpbin:8000/'), { status: 0, exit: 56, body: '', lines: [] })
  const away = meshOf(t, "echo 'no such program' >&2; exit 127")
  await t.rejects(away.call('sleep', 'http://httpbin:8000/'), {
    code: 'compose',
    message: /from sleep: no such program/,
  })
  for (const service of ['guest', 'unheard-of'])
    await t.rejects(away.call(service, 'http://httpbin:8000/'), {
      code: 'compose',
      message: `${service} does not run: docker compose up -d`,
    })
})

t.test('states are read; JSON and text are told apart; what docker says is passed on', async (t) => {
  const mesh = meshOf(
    t,
    `case "$*" in
      *15014*) printf '{"ca":1}' ;;
      *15020*) printf 'a_total 1' ;;
      *) echo 'no such file' >&2; exit 1 ;;
    esac`,
  )
  t.match(await mesh.containers(), [
    { service: 'sleep', state: 'running' },
    { service: 'guest', state: 'exited' },
  ])
  t.strictSame(await mesh.ask('config-server', 'http://127.0.0.1:15014/status'), { ca: 1 })
  t.equal(await mesh.ask('proxy-b', 'http://127.0.0.1:15020/metrics'), 'a_total 1')
  await t.rejects(mesh.read('proxy-b', '/x'), { code: 'compose', message: /no such file/ })
})

t.test('without docker: says so', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'checks-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  const mesh = composeMesh({ root, env: { PATH: root } })
  await t.rejects(mesh.containers(), { code: 'compose', message: /is Docker installed\?/ })
})
