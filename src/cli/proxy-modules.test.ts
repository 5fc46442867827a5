// A node proxy runs on every machine: what it loads, every machine holds in memory.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'

/** What belongs to other roles, or to an option that is rarely set; with the reason why a proxy does not need it. */
const NOT_FOR_A_PROXY: Readonly<Record<string, RegExp>> = {
  'certificates are made by the CA': /\/node_modules\/(@peculiar\/|tsyringe|reflect-metadata|asn1js)/,
  'tokens are made and verified by the config server': /\/node_modules\/jose\//,
  'YAML is for LOCAL_XDS, PROXY_CONFIG and the config server': /\/node_modules\/(yaml|zod)\//,
  'Docker is asked by the agent and the config server': /\/node_modules\/undici\/|\/src\/docker\//,
  'metrics are fetched, not pushed, and not traced': /\/node_modules\/(@opentelemetry|tdigest)\//,
  'other commands': /\/src\/(agent|checks|config-server|conformance|lab|sidecar|waypoint|xds\/kubernetes)\//,
}

const LIST = `
  import { registerHooks } from 'node:module'
  const loaded = []
  registerHooks({ load(url, context, next) { loaded.push(url); return next(url, context) } })
  const { createProgram } = await import('./src/cli/program.ts')
  await createProgram(['node', 'ztunnel', 'proxy'])
  await import('./src/ztunnel/run-proxy.ts')
  process.stdout.write(JSON.stringify(loaded))
`

t.test('a node proxy loads no code of other roles', async (t) => {
  const root = new URL('../..', import.meta.url)
  const options = { cwd: root, maxBuffer: 1e7 }
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', LIST], options)
  const loaded: readonly string[] = JSON.parse(stdout)
  t.ok(
    loaded.some((url) => url.endsWith('/src/ztunnel/app.ts')),
    'the proxy itself is',
  )
  t.ok(
    loaded.some((url) => url.includes('/node_modules/')),
    'packages are seen, too',
  )
  for (const [reason, pattern] of Object.entries(NOT_FOR_A_PROXY)) {
    t.same(
      loaded.filter((url) => pattern.test(url)),
      [],
      reason,
    )
  }
  const commands = loaded.map((url) => /\/src\/cli\/([a-z-]+)\.ts$/.exec(url)?.[1])
  t.same(
    commands.filter((name) => name !== undefined),
    ['program', 'proxy'],
    'of the commands, its own',
  )
})
