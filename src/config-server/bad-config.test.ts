import { chmod, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import t from 'tap'
import { startConfigServer } from './config-server.ts'
import { pod, testClient, testMesh, until } from './test-support.ts'

const nodeToken = { node: 'node-a', ttlSeconds: 60 }

async function get(
  address: { port: number } | undefined,
  path: string,
): Promise<{ status: number; text: string }> {
  const response = await fetch(`http://127.0.0.1:${address?.port}${path}`)
  return { status: response.status, text: await response.text() }
}

t.test('a folder with an error from the start is not served until it is mended', async (t) => {
  const mesh = testMesh(t, { 'a.yaml': pod('a'), 'bad.yaml': 'kind: [' })
  const lines: string[] = []
  const log = (_fields: object, message: string) => void lines.push(message)
  const server = await mesh.start({
    statusListen: { host: '127.0.0.1', port: 0 },
    log: { debug: () => {}, info: log, warn: log, error: log },
  })
  t.match(lines, [/^bad.yaml:1:\d+: /])
  t.match(await get(server.statusAddress, '/ready'), { status: 503, text: /not ready.*\nbad.yaml:1:/ })
  const { client, store, terminations } = testClient(t, mesh, server.address.port, () =>
    server.issuer.issueNodeToken(nodeToken),
  )
  client.start()
  await until('the refusal', () => terminations.length > 0)
  t.equal([...store.workloads()].length, 0)
  await mesh.write('bad.yaml', pod('b'))
  await server.ready
  await until('the mesh', () => [...store.workloads()].length === 2)
  t.match(await get(server.statusAddress, '/ready'), { status: 200, text: 'ready\n' })
})

t.test('an error that comes later leaves what was in force, and is told', async (t) => {
  const mesh = testMesh(t, { 'a.yaml': pod('a') })
  const server = await mesh.start({ statusListen: { host: '127.0.0.1', port: 0 } })
  const { client, store } = testClient(t, mesh, server.address.port, () =>
    server.issuer.issueNodeToken(nodeToken),
  )
  client.start()
  await until('the mesh', () => [...store.workloads()].length === 1)
  await mesh.write('a.yaml', pod('a').replace('10.0.0.1', 'oops'))
  await until('the report', () => server.status().source.problems.length > 0)
  const status: unknown = JSON.parse((await get(server.statusAddress, '/status')).text)
  t.match(status, {
    ready: true,
    source: {
      problems: [
        {
          severity: 'error',
          text: 'a.yaml:6:10: status.podIP: expected an IPv4 or IPv6 address, got "oops"',
        },
      ],
      parts: [{ name: 'a.yaml', state: 'stale', objects: 1 }],
    },
  })
  t.equal([...store.workloads()].length, 1)
  t.equal((await get(server.statusAddress, '/nothing')).status, 404)
})

t.test('an object in error keeps its last good state, and what stands beside it goes on', async (t) => {
  const mesh = testMesh(t, { 'a.yaml': pod('a') + pod('b', { ip: '10.0.0.2' }) })
  const server = await mesh.start()
  const { client, store } = testClient(t, mesh, server.address.port, () =>
    server.issuer.issueNodeToken(nodeToken),
  )
  client.start()
  const addresses = () => [...store.workloads()].flatMap((workload) => workload.addresses).sort()
  await until('the mesh', () => addresses().length === 2)
  await mesh.write('a.yaml', pod('a', { ip: 'oops' }) + pod('b', { ip: '10.0.0.3' }))
  await until('what stands beside it', () => addresses().includes('10.0.0.3'))
  t.strictSame(addresses(), ['10.0.0.1', '10.0.0.3'])
  t.match(server.status().source, {
    problems: [{ severity: 'error', text: /^a.yaml:6:10: status.podIP: expected an IPv4/ }],
    parts: [{ name: 'a.yaml', state: 'stale', objects: 2 }],
  })
})

t.test('several folders are served as one mesh', async (t) => {
  const mesh = testMesh(t, { 'a.yaml': pod('a') })
  const root = t.testdir({ one: { 'a.yaml': pod('a') }, two: { 'b.yaml': pod('b', { ip: '10.0.0.2' }) } })
  const folders = [join(root, 'one'), join(root, 'two')]
  const server = await mesh.start({ configDir: folders })
  await server.ready
  t.match(server.status().source, { source: `folders ${folders.join(', ')}`, complete: true })
  const address = Object.entries(server.status().resources).find(([type]) => type.endsWith('.Address'))
  t.equal(address?.[1], 2)
  await t.rejects(mesh.start({ configDir: [...folders, join(root, 'none')] }), {
    code: 'config-unreadable',
    message: /none/,
  })
})

t.test('a server that cannot start says why and leaves nothing behind', async (t) => {
  const mesh = testMesh(t, { 'a.yaml': pod('a') })
  const server = await mesh.start()
  await t.rejects(mesh.start({ listen: server.address }), { code: 'listen-failed', message: /EADDRINUSE/ })
  const file = join(mesh.certsDir, 'file')
  await writeFile(file, '')
  const listen = { host: '127.0.0.1', port: 0 }
  await t.rejects(startConfigServer({ configDir: file, certsDir: mesh.certsDir, listen }), {
    code: 'config-unreadable',
  })
})

t.test('a trust domain that no identity may have is refused at the start', async (t) => {
  const mesh = testMesh(t, { 'a.yaml': pod('a') })
  await t.rejects(mesh.start({ trustDomain: 'Foo Bar' }), {
    code: 'settings-invalid',
    message: /trust domain "Foo Bar" is not/,
  })
})

t.test('keys that others can read are told of at the start', async (t) => {
  const mesh = testMesh(t, { 'a.yaml': pod('a') })
  await (await mesh.start()).close()
  for (const name of ['ca-key.pem', 'token-key.pem']) await chmod(join(mesh.certsDir, name), 0o644)
  const warnings: string[] = []
  const nothing = () => {}
  const warn = (_fields: object, message: string) => void warnings.push(message)
  await mesh.start({ log: { debug: nothing, info: nothing, warn, error: nothing } })
  t.match(warnings, [/ca-key.pem is open to other users/, /token-key.pem is open to other users/])
})

t.test("a web page's name that points at loopback does not open the status", async (t) => {
  const mesh = testMesh(t, { 'a.yaml': pod('a') })
  const server = await mesh.start({ statusListen: { host: '127.0.0.1', port: 0 } })
  const { port } = server.statusAddress ?? { port: 0 }
  const ask = (host: string): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port, path: '/status', headers: { host } }, (answer) => {
        answer.resume()
        resolve(answer.statusCode)
      })
      asked.on('error', reject).end()
    })
  for (const host of ['evil.example', 'evil.example:15014', '127.0.0.1.evil.example', '127.evil.example'])
    t.equal(await ask(host), 403, host)
  for (const host of ['localhost', `localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`])
    t.equal(await ask(host), 200, host)
})
