// One of two waypoints is killed under load. What was in flight in it fails,
// and nothing else; the other one goes on, and a new one takes its part.
import '../support/own-namespaces.ts'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { connectIn } from '../../src/lab/http-probe.ts'
import { type MeshLab, startLab, type Target } from '../../src/lab/mesh-lab.ts'
import { until } from '../support/until.ts'

t.setTimeout(120_000)

const MESH = join(import.meta.dirname, '../support/waypoint-replicas')
const SERVER: Target = { to: 'app/server', by: 'service', port: 'http' }
/** Connections that have a request under way at any time. */
const AT_ONCE = 8

t.test('a waypoint is killed under load', async (t) => {
  await using lab = await startLab({ manifests: MESH })
  await using load = startLoad(lab)
  const by = (name: string, since = 0): number =>
    lab.journal.requests.slice(since).filter(({ proxy }) => proxy === `waypoint@app/${name}`).length
  await until(() => by('waypoint-1') > 5 && by('waypoint-2') > 5, 'both to have their share')
  t.same(load.failures, [])

  const killed = lab.component('waypoint@app/waypoint-1')
  killed.signal('SIGKILL')
  await killed.exited
  // As the kubelet says it; until then clients may try it.
  const manifest = join(lab.state.config, 'mesh.yaml')
  const yaml = readFileSync(manifest, 'utf8')
  writeFileSync(
    manifest,
    yaml.replace(RUNNING, `${RUNNING.slice(0, -2)}, conditions: [{ type: Ready, status: 'False' }] }`),
  )
  await until(async () => !(await endpoints(lab)).includes('app/waypoint-1'), 'the mesh to know of it')
  const [failed, position, before] = [load.failures.length, lab.journal.requests.length, load.completed()]
  t.comment(`${failed} of ${before + failed} requests failed`)
  await until(() => load.completed() > before + 10 * AT_ONCE, 'the other one to serve')
  t.equal(load.failures.length, failed, 'from then on none fails')
  t.equal(by('waypoint-1', position), 0)
  t.same(
    load.failures.filter((why) => !/^(?:closed|ECONNRESET|status 503)/.test(why)),
    [],
    'each of the others ended, none hung',
  )
  t.ok(
    lab.proxyLogs().some(({ proxy, error }) => proxy === 'ztunnel@node-a' && error !== undefined) ||
      failed === 0,
    'the client’s ztunnel says why',
  )

  await lab.startWaypoint('app/waypoint-1')
  writeFileSync(manifest, yaml)
  const again = lab.journal.requests.length
  await until(() => by('waypoint-1', again) > 5, 'the new one to have its share')
  t.equal(load.failures.length, failed, 'its coming costs no request')

  // A drain is no kill: nobody new comes, and what is under way may end.
  const notReady = yaml.replace(
    OTHER,
    `${OTHER.slice(0, -2)}, conditions: [{ type: Ready, status: 'False' }] }`,
  )
  writeFileSync(manifest, notReady)
  await until(async () => !(await endpoints(lab)).includes('app/waypoint-2'), 'the mesh to know of the drain')
  const drained = lab.component('waypoint@app/waypoint-2')
  const ended = load.completed()
  drained.signal('SIGTERM')
  t.match(await drained.exited, { code: 0 }, 'it ends by itself')
  await until(() => load.completed() > ended + 10 * AT_ONCE, 'the rest to go on')
  t.equal(load.failures.length, failed, 'its going costs no request')
})

const RUNNING = 'status: { phase: Running, podIP: 10.244.3.10 }'
const OTHER = 'status: { phase: Running, podIP: 10.244.2.11 }'

/** Workloads behind the waypoints' service, as the client's ztunnel has them. */
async function endpoints(lab: MeshLab): Promise<readonly string[]> {
  const { body } = await lab.admin('node-a', '/config_dump')
  const { workloads } = JSON.parse(body) as {
    readonly workloads: readonly { readonly uid: string; readonly status?: string }[]
  }
  return workloads
    .filter(({ uid, status }) => uid.includes('waypoint-') && !/unhealthy/i.test(status ?? ''))
    .map(({ uid }) => uid.replace(/^.*Pod\//, ''))
}

interface Load extends AsyncDisposable {
  readonly failures: readonly string[]
  completed(): number
}

/** Requests from the client's pod, each on a connection of its own, {@link AT_ONCE} at a time. */
function startLoad(lab: MeshLab): Load {
  const failures: string[] = []
  const stop = new AbortController()
  let completed = 0
  const worker = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      const failure = await oneRequest(lab)
      if (failure === undefined) completed += 1
      else failures.push(failure)
    }
  }
  const workers = Array.from({ length: AT_ONCE }, worker)
  return {
    failures,
    completed: () => completed,
    [Symbol.asyncDispose]: async () => {
      stop.abort()
      await Promise.all(workers)
    },
  }
}

/** Why it failed; undefined if it did not. */
function oneRequest(lab: MeshLab): Promise<string | undefined> {
  const { host, port } = lab.resolve(SERVER)
  return new Promise((resolve) => {
    const socket = connectIn(lab.network.namespace('app.client'), host, port)
    let answer = ''
    const timer = setTimeout(() => socket.destroy(new Error('no answer within 10 s')), PATIENCE_MS)
    const settle = (failure?: string): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(failure)
    }
    socket.once('connect', () =>
      socket.write('GET /delay/50 HTTP/1.1\r\nhost: server\r\nconnection: close\r\n\r\n'),
    )
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString('latin1')
    })
    socket.once('error', (error: NodeJS.ErrnoException) => settle(error.code ?? error.message))
    socket.once('close', () => {
      const status = /^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]
      settle(status === '200' ? undefined : status === undefined ? 'closed' : `status ${status}`)
    })
  })
}

const PATIENCE_MS = 10_000
