import './support/own-namespaces.ts'
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import t from 'tap'
import { LAB_CHECKS } from '../../src/checks/index.ts'
import { startBareEngine } from './support/engine.ts'
import { readLabSteps } from './support/lab-steps.ts'
import { setTimeLimit } from './support/time-limit.ts'

setTimeLimit(t, 900_000)

const ROOT = resolve(import.meta.dirname, '../..')
const STEP_TIMEOUT_MS = 240_000

const images = process.env['ZTUNNEL_TEST_IMAGES']
if (images === undefined) throw new Error('run this by `npm run test:docker`, which builds the images')
execFileSync('mount', ['--make-rshared', '/'])
const engine = await startBareEngine()
t.teardown(() => engine.stop())
await engine.docker('load', '-q', '-i', images)
const directory = mkdtempSync(join(tmpdir(), 'labs-'))
t.teardown(() => rmSync(directory, { recursive: true, force: true }))
const env = prepare()

t.test('the mesh and what the labs add come up', (t) => {
  t.match(type('docker compose up -d --no-build'), { status: 0 })
  t.match(type(untilAnswered('guest', 'http://helloworld:5000/hello')), { status: 0 })
  t.end()
})

for (const { lab } of LAB_CHECKS) {
  t.test(`${lab}: wrong before, right after its commands, and put back`, (t) => {
    const { todo, back } = readLabSteps(join(ROOT, 'labs', lab, 'README.md'))
    t.match(check(lab), { status: 1, output: new RegExp(`^${lab}: wrong`, 'm') }, 'before')
    t.match(type(todo), { status: 0 }, 'the commands')
    // What was copied into the folder is in force a moment later.
    let last = check(lab)
    for (let tries = 0; last.status !== 0 && tries < 10; tries++) last = check(lab)
    t.match(last, { status: 0, output: new RegExp(`^${lab}: right`, 'm') }, 'after')
    if (back !== '') t.match(type(back), { status: 0 }, 'put back')
    t.end()
  })
}

t.test('nothing is left', async (t) => {
  t.match(type('docker compose --profile waypoint down -v --timeout 5'), { status: 0 })
  t.equal(await engine.docker('ps', '-aq'), '', 'containers')
  t.equal(await engine.docker('volume', 'ls', '-q'), '', 'volumes')
})

interface Typed {
  readonly status: number | null
  readonly output: string
}

/** What somebody has who has cloned the repository, and no terminal: `docker compose` is the older one where it has to be. */
function prepare(): NodeJS.ProcessEnv {
  for (const name of ['docker-compose.yml', 'compose', 'labs'])
    cpSync(join(ROOT, name), join(directory, name), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'))
  const bin = join(directory, 'bin')
  mkdirSync(bin)
  const docker = execFileSync('sh', ['-c', 'command -v docker'], { encoding: 'utf8' }).trim()
  const plugin = spawnSync(docker, ['compose', 'version']).status === 0
  const compose = plugin ? `${docker} compose` : 'docker-compose'
  const script = [
    '#!/bin/sh',
    `[ "$1" = compose ] || exec ${docker} "$@"`,
    'shift',
    `[ "$1" != exec ] || [ "$2" = -T ] || { shift; exec ${compose} exec -T "$@"; }`,
    `exec ${compose} "$@"`,
  ]
  writeFileSync(join(bin, 'docker'), `${script.join('\n')}\n`)
  chmodSync(join(bin, 'docker'), 0o755)
  return {
    ...process.env,
    PATH: `${bin}:${process.env['PATH'] ?? ''}`,
    DOCKER_HOST: engine.host,
    DOCKER_SOCKET: engine.socket,
    DOCKER_NETNS: join(engine.directory, 'exec/netns'),
    COMPOSE_FILE: 'docker-compose.yml:labs/compose.yml',
    COMPOSE_PROJECT_NAME: 'labs',
  }
}

function type(commands: string): Typed {
  return run('sh', ['-euc', commands])
}

function check(lab: string): Typed {
  const ztunnel = join(ROOT, 'bin/ztunnel.js')
  return run(process.execPath, [ztunnel, 'check', '--project-directory', directory, `labs/${lab}`])
}

function run(program: string, argv: readonly string[]): Typed {
  const options = { cwd: directory, env, encoding: 'utf8', timeout: STEP_TIMEOUT_MS } as const
  const { status, stdout, stderr } = spawnSync(program, argv, options)
  return { status, output: `${stdout}${stderr}` }
}

/** Bounded by the time that a step has. */
function untilAnswered(from: string, url: string): string {
  return `until docker compose exec ${from} curl -sf --max-time 5 ${url}; do sleep 0.3; done`
}
