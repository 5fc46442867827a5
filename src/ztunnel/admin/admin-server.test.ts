import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { MeshStore } from '../../mesh/index.ts'
import { createLogger } from '../../telemetry/index.ts'
import { Lines } from '../../telemetry/test-support.ts'
import { startAdminServer } from './admin-server.ts'

async function setup() {
  const logger = createLogger({ format: 'plain', level: 'info', destination: new Lines() })
  let shutdowns = 0
  const server = await startAdminServer({
    sources: {
      certificates: () => [
        { identity: 'spiffe://cluster.local/ns/a/sa/b', state: 'Initializing', certChain: [], rootCerts: [] },
      ],
      config: () => ({ proxyMode: 'shared' }),
      mesh: new MeshStore(),
      workloadState: async () => ({ uid1: { state: 'Up' } }),
      connections: async () => [{ direction: 'outbound' }],
      explain: async (source, destination) => ({ status: 404, message: `${source} to ${destination}` }),
      version: { version: '0.1.0' },
    },
    logger,
    shutdown: () => {
      shutdowns += 1
    },
    port: 0,
    ipv6Enabled: true,
  })
  const send = (method: string, path: string, headers: Record<string, string> = {}) =>
    new Promise<{ status: number; type: string | undefined; body: string }>((resolve, reject) => {
      const sent = request(
        { host: '127.0.0.1', port: server.port, method, path, headers, agent: false },
        (response) => {
          text(response).then(
            (body) =>
              resolve({ status: response.statusCode ?? 0, type: response.headers['content-type'], body }),
            reject,
          )
        },
      )
      sent.on('error', reject)
      sent.end()
    })
  return { logger, server, send, shutdowns: () => shutdowns }
}

t.test('the dashboard lists the endpoints', async (t) => {
  const { server, send } = await setup()
  await using _ = server
  const page = await send('GET', '/')
  t.equal(page.type, 'text/html; charset=utf-8')
  for (const path of ['config_dump', 'logging', 'quitquitquit', 'connections', 'debug/pprof/profile'])
    t.match(page.body, path)
  t.strictSame(await send('GET', '/nothing'), { status: 404, type: undefined, body: '' })
  t.equal((await send('GET', '/constructor')).status, 404)
})

t.test('explain asks for both ends, and passes on what there is to say', async (t) => {
  const { server, send } = await setup()
  await using _ = server
  t.match(await send('GET', '/explain?source=a/b'), { status: 400, body: /^usage: GET \/explain/ })
  t.match(await send('GET', '/explain?source=a/b&destination=c.d:80'), {
    status: 404,
    body: 'a/b to c.d:80\n',
  })
})

t.test('the config dump', async (t) => {
  const { server, send } = await setup()
  await using _ = server
  const dump = await send('GET', '/config_dump')
  t.equal(dump.type, 'application/json')
  const parsed: Record<string, unknown> = JSON.parse(dump.body)
  const keys = Object.keys(parsed)
  t.same(keys, keys.toSorted(), 'keys in alphabetical order')
  t.same(keys, [
    'certificates',
    'config',
    'policies',
    'services',
    'stagedServices',
    'staticConfig',
    'version',
    'workloadState',
    'workloads',
  ])
  t.match(dump.body, '\n  "config": {\n    "proxyMode": "shared"\n  }', 'pretty')
  t.same(JSON.parse((await send('GET', '/connections')).body), [{ direction: 'outbound' }])
})

t.test('logging', async (t) => {
  const { server, send, logger } = await setup()
  await using _ = server
  const post = (query: string) => send('POST', `/logging${query}`)
  t.equal((await post('')).body, 'current log level is info\n')
  t.equal((await post('?level=access=debug')).body, 'current log level is access=debug,info\n')
  t.equal((await post('?level=warn')).body, 'current log level is access=debug,warn\n')
  t.equal((await post('?reset')).body, 'current log level is info\n')
  t.equal(
    (await post('?reset&level=xds::client=trace,error')).body,
    'current log level is xds::client=trace,error\n',
  )
  for (const query of ['?level=access', '?level=loud', '?reset&level=a:debug']) {
    const refused = await post(query)
    t.equal(refused.status, 400)
    t.match(refused.body, /^Invalid level provided: .*\n[\s\S]*usage: POST \/logging/)
  }
  t.equal(logger.filter(), 'xds::client=trace,error', 'a wrong level changes nothing')
  const get = await send('GET', '/logging')
  t.equal(get.status, 405)
  t.match(get.body, /^Invalid HTTP method\n usage/)
})

t.test('quitquitquit', async (t) => {
  const { server, send, shutdowns } = await setup()
  await using _ = server
  t.strictSame(await send('GET', '/quitquitquit'), { status: 405, type: undefined, body: '' })
  t.equal(shutdowns(), 0)
  t.match(await send('POST', '/quitquitquit'), { status: 200, body: 'shutdown now\n' })
  t.equal(shutdowns(), 1)
})

t.test('a page that has been rebound to loopback learns nothing', async (t) => {
  const { server, send, shutdowns } = await setup()
  await using _ = server
  for (const host of [
    'evil.example',
    'evil.example:15000',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
  ]) {
    t.equal((await send('GET', '/config_dump', { host })).status, 403, host)
    t.equal((await send('POST', '/quitquitquit', { host })).status, 403, host)
  }
  for (const host of ['localhost', 'localhost:15000', '127.0.0.1', '[::1]:15000', '10.0.0.5:15000']) {
    t.equal((await send('GET', '/config_dump', { host })).status, 200, host)
  }
  t.equal(shutdowns(), 0)
})

t.test('a foreign page cannot POST', async (t) => {
  const { server, send, shutdowns } = await setup()
  await using _ = server
  const host = `localhost:${server.port}`
  for (const origin of ['https://evil.example', 'null', 'http://203.0.113.1', 'http://localhost:1']) {
    t.equal((await send('POST', '/quitquitquit', { host, origin })).status, 403, origin)
  }
  t.equal((await send('POST', '/quitquitquit', { host, origin: `http://${host}` })).status, 200)
  t.equal(shutdowns(), 1)
})

t.test('a CPU profile', async (t) => {
  const { server, send } = await setup()
  await using _ = server
  for (const query of ['seconds=0', 'seconds=301', 'seconds=x', 'seconds=']) {
    t.strictSame(await send('GET', `/debug/pprof/profile?${query}`), {
      status: 400,
      type: 'text/plain; charset=utf-8',
      body: 'invalid seconds value; expected 1-300\n',
    })
  }
  t.equal((await send('GET', '/debug/pprof/profile?frequency=1001')).status, 400)
  const [first, second] = await Promise.all([
    send('GET', '/debug/pprof/profile?seconds=1'),
    send('GET', '/debug/pprof/profile?seconds=1'),
  ])
  t.same([first?.status, second?.status].toSorted(), [200, 409], 'one at a time')
  const profile = first?.status === 200 ? first : second
  t.ok(Array.isArray(JSON.parse(profile?.body ?? '').nodes))
})

t.test('an address in use is an error that names it', async (t) => {
  const { server, logger } = await setup()
  await using _ = server
  await t.rejects(
    startAdminServer({
      sources: {
        certificates: () => [],
        config: () => ({}),
        mesh: new MeshStore(),
        workloadState: async () => undefined,
        connections: async () => [],
        explain: async () => ({ status: 404, message: '' }),
        version: {},
      },
      logger,
      shutdown: () => {},
      port: server.port,
      ipv6Enabled: false,
    }),
    {
      code: 'bind-failed',
      message: new RegExp(`failed to bind to address 127.0.0.1 port ${server.port} \\(admin\\)`),
    },
  )
})

t.test('the heap profile names functions and holds no values', async (t) => {
  const { server, send } = await setup()
  await using _ = server
  const get = (path: string) => send('GET', path)
  const inactive = await get('/debug/pprof/heap')
  t.equal(inactive.status, 500)
  t.equal((await get('/debug/pprof/heap/profiling?activate=yes')).status, 400)
  t.equal((await get('/debug/pprof/heap/profiling?activate=true')).body, 'heap profiling active: true\n')
  const secret = 'a value that is in the heap'.repeat(1000)
  const profile = await get('/debug/pprof/heap')
  t.equal(profile.status, 200)
  t.match(JSON.parse(profile.body), { head: { callFrame: { functionName: '(root)' } } })
  t.notMatch(profile.body, secret.slice(0, 27))
  t.equal((await get('/debug/pprof/heap/profiling?activate=false')).body, 'heap profiling active: false\n')
  t.equal((await get('/debug/pprof/heap/profiling')).body, 'heap profiling active: false\n')
})
