import { readFileSync } from 'node:fs'
import { validate } from 'dockerfile-utils'
import t from 'tap'
import { parse } from 'yaml'
import { ENVOY_REQUIREMENT } from '../src/sidecar/install-envoy.ts'

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
  const runtime = stages.filter(
    (stage) => stage.startsWith('FROM') && !/ AS (build|envoy-wheel)$/m.test(stage),
  )
  t.equal(runtime.length, 5)
  for (const stage of runtime) t.notMatch(stage, /\bnpm\b|\bgcc\b|build-essential|\bpip\b|python/)
})

t.test('the Envoy of the image is the one that all tests are run with', async (t) => {
  t.ok(read('Dockerfile').includes(`'${ENVOY_REQUIREMENT}'`), ENVOY_REQUIREMENT)
})

t.test('no part of the compose file is privileged, and each says what it may', async (t) => {
  const { services } = composeFile()
  for (const [name, service] of Object.entries(services)) {
    t.notOk('privileged' in service || 'pid' in service, name)
    const confined = { read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] }
    t.match(service, confined, `${name} is confined`)
    const node = /^(agent|proxy)-/.test(name) ? ['NET_ADMIN', 'SYS_ADMIN'] : undefined
    const needed = name === 'ledger' ? ['NET_ADMIN'] : node
    t.strictSame(service['cap_add'], needed, `${name}: capabilities`)
  }
})

t.test('Prometheus scrapes what is there, where it has its metrics', async (t) => {
  const { scrape_configs } = parse(read('compose/prometheus.yml')) as {
    scrape_configs: readonly { readonly static_configs: readonly { readonly targets: readonly string[] }[] }[]
  }
  const targets = scrape_configs.flatMap((job) => job.static_configs.flatMap((each) => each.targets))
  const roles = Object.entries(composeFile().services).filter(([, { command }]) =>
    ['proxy', 'waypoint'].includes([command].flat()[0] as string),
  )
  t.strictSame([...targets].sort(), roles.map(([name]) => `${name}:15020`).sort())
})

interface ComposeFile {
  readonly services: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

function composeFile(): ComposeFile {
  const file: ComposeFile = parse(read('docker-compose.yml'), { merge: true })
  return file
}
