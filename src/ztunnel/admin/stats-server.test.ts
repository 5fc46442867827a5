import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { createLogger, createMetrics } from '../../telemetry/index.ts'
import { Lines } from '../../telemetry/test-support.ts'
import { startStatsServer } from './stats-server.ts'

const log = createLogger({ format: 'plain', level: 'info', destination: new Lines() }).scope('stats')

const start = (metrics: { exposition(): Promise<string> } = createMetrics()) =>
  startStatsServer({ metrics, port: 0, ipv6Enabled: true, log })

t.test('both paths, any method, and nothing else', async (t) => {
  await using server = await start()
  const url = `http://127.0.0.1:${server.port}`
  for (const path of ['/metrics', '/stats/prometheus']) {
    const response = await fetch(url + path)
    t.equal(response.status, 200)
    t.match(await response.text(), /^istio_build\{component="ztunnel",tag="unknown"\} 1$/m)
    t.equal((await fetch(url + path, { method: 'POST' })).status, 200)
  }
  t.equal((await fetch(`${url}/`)).status, 404)
})

t.test('the content type follows Accept, the body does not', async (t) => {
  await using server = await start({ exposition: async () => 'x 1\n# EOF\n' })
  const get = (accept: string) => fetch(`http://127.0.0.1:${server.port}/metrics`, { headers: { accept } })
  const open = await get('application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3')
  t.equal(open.headers.get('content-type'), 'application/openmetrics-text;charset=utf-8;version=1.0.0')
  t.equal(await open.text(), 'x 1\n# EOF\n')
  const plain = await get('text/plain')
  t.equal(plain.headers.get('content-type'), 'text/plain; charset=utf-8')
  t.equal(await plain.text(), 'x 1\n# EOF\n')
})

t.test('gzip for those who take it, when it pays', async (t) => {
  let body = 'long '.repeat(1000)
  await using server = await start({ exposition: async () => body })
  const get = async (encoding: string) => {
    const response = await fetch(`http://127.0.0.1:${server.port}/metrics`, {
      headers: { 'accept-encoding': encoding },
    })
    t.equal(await response.text(), body)
    return response.headers.get('content-encoding')
  }
  t.equal(await get('gzip, deflate'), 'gzip')
  t.equal(await get('gzip;q=0, identity'), null)
  t.equal(await get('identity'), null)
  body = 'short'
  t.equal(await get('gzip'), null)
})

t.test('those who ask at the same time share one collection', async (t) => {
  let calls = 0
  const gate = Promise.withResolvers<string>()
  const asked = Promise.withResolvers<void>()
  const exposition = () => {
    calls += 1
    asked.resolve()
    return gate.promise
  }
  await using server = await start({ exposition })
  const get = () => fetch(`http://127.0.0.1:${server.port}/metrics`).then((response) => response.text())
  const first = get()
  await asked.promise
  const second = get()
  gate.resolve('x')
  t.same(await Promise.all([first, second]), ['x', 'x'])
  t.ok(calls <= 2)
})

t.test('an exposition that fails is a 500 with the reason', async (t) => {
  await using server = await start({ exposition: () => Promise.reject(new Error('no luck')) })
  const response = await fetch(`http://127.0.0.1:${server.port}/metrics`)
  t.equal(response.status, 500)
  t.equal(await response.text(), 'no luck\n')
})

t.test('a client may close its half before it reads', async (t) => {
  await using server = await start({ exposition: async () => 'the body\n' })
  const socket = connect(server.port, '127.0.0.1')
  socket.end('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n')
  t.match(await text(socket), /200 OK[\s\S]*the body\n$/)
})

t.test('garbage is a 400, large headers a 431', async (t) => {
  await using server = await start()
  const send = async (request: string) => {
    const socket = connect(server.port, '127.0.0.1')
    socket.write(request)
    return text(socket)
  }
  t.match(await send('\0\0\0 nonsense\r\n\r\n'), /^HTTP\/1\.1 400/)
  t.match(await send(`GET / HTTP/1.1\r\nhost: x\r\na: ${'b'.repeat(9000)}\r\n\r\n`), /^HTTP\/1\.1 431/)
})

t.test('closing lets a request that is being answered finish, and ends kept connections', async (t) => {
  const gate = Promise.withResolvers<string>()
  const asked = Promise.withResolvers<void>()
  const server = await start({
    exposition: () => {
      asked.resolve()
      return gate.promise
    },
  })
  const answer = fetch(`http://127.0.0.1:${server.port}/metrics`).then((response) => response.text())
  await asked.promise
  const closed = server.close()
  gate.resolve('last words')
  t.equal(await answer, 'last words')
  await closed
  await t.rejects(fetch(`http://127.0.0.1:${server.port}/metrics`))
})
