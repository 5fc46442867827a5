import { readFileSync } from 'node:fs'
import { validate } from 'dockerfile-utils'
import t from 'tap'
import { parse } from 'yaml'

const ROOT = new URL('../', import.meta.url)
const read = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8')

t.test('the Dockerfiles have nothing to complain of', async (t) => {
  for (const path of ['Dockerfile']) {
    const problems = validate(read(path)).map(
      ({ message, range }) => `${path}:${range.start.line + 1}: ${message}`,
    )
    t.strictSame(problems, [], path)
  }
})

t.test('no image brings npm or a compiler along', async (t) => {
  const stages = read('Dockerfile').split(/^(?=FROM )/m)
  const runtime = stages.filter((stage) => stage.startsWith('FROM') && !/ AS build$/m.test(stage))
  t.equal(runtime.length, 3)
  for (const stage of runtime) t.notMatch(stage, /\bnpm\b|\bgcc\b|build-essential/)
})

t.test('no part of the compose file is privileged, and each says what it may', async (t) => {
  const { services } = parse(read('docker-compose.yml'), { merge: true }) as {
    services: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  }
  for (const [name, service] of Object.entries(services)) {
    t.notOk('privileged' in service || 'pid' in service, name)
    const confined = { read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] }
    t.match(service, confined, `${name} is confined`)
    const needed = /^(agent|proxy)-/.test(name) ? ['NET_ADMIN', 'SYS_ADMIN'] : undefined
    t.strictSame(service['cap_add'], needed, `${name}: capabilities`)
  }
})
