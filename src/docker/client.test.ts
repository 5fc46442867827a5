import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { DockerClient } from './client.ts'
import { parseDockerEndpoint } from './endpoint.ts'
import { explainFailure } from './explain-failure.ts'
import { rawContainer, ScriptedEngine } from './test-support.ts'

function clientOf(t: Test, endpoint: string): DockerClient {
  const client = new DockerClient(endpoint)
  t.teardown(() => client.close())
  return client
}

/** The path of a socket has 107 bytes at most, and tap's folders are deep. */
function shortDirectory(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'docker-client-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

t.test('speaks the newest version that both know', async (t) => {
  for (const [offered, spoken] of [
    ['1.41', '/v1.41/info'],
    ['1.99', '/v1.52/info'],
  ] as const) {
    const engine = await ScriptedEngine.start(t)
    engine.apiVersion = offered
    t.strictSame(await clientOf(t, engine.endpoint).info(), { hostName: 'Host-1', version: '20.10.24' })
    t.strictSame(engine.asked, ['/_ping', spoken])
  }
})

t.test('refuses an engine that is too old, and asks again later', async (t) => {
  const engine = await ScriptedEngine.start(t)
  const client = clientOf(t, engine.endpoint)
  engine.apiVersion = '1.40'
  await t.rejects(client.info(), { code: 'too-old', message: /speaks API 1\.40; 1\.41 is needed/ })
  engine.apiVersion = '1.41'
  t.match(await client.info(), { hostName: 'Host-1' })
})

t.test('a container that is gone is none; one that is there is read', async (t) => {
  const engine = await ScriptedEngine.start(t)
  const client = clientOf(t, engine.endpoint)
  t.equal(await client.container('gone'), undefined)
  const raw = rawContainer('web', {
    Config: { ExposedPorts: { '8080/tcp': {}, '80/tcp': {}, '53/udp': {} }, Labels: null },
  })
  engine.put(raw)
  t.match(await client.container(raw.Id), {
    name: 'web',
    labels: {},
    exposedPorts: [80, 8080],
    networks: [{ name: 'demo_default', addresses: ['172.18.0.2'] }],
  })
})

t.test('labels of the image are not the container’s; an image is asked for once', async (t) => {
  const engine = await ScriptedEngine.start(t)
  const client = clientOf(t, engine.endpoint)
  const compose = { 'com.docker.compose.service': 'web' }
  engine.images.set('sha256:abc', { 'ztunnel.service-account': 'admin', version: 'v1', ...compose })
  const labels = { 'ztunnel.service-account': 'admin', version: 'v2', ...compose }
  const web = { ...rawContainer('web', { Config: { Labels: labels } }), Image: 'sha256:abc' }
  engine.put(web)
  t.match(await client.container(web.Id), {
    labels: { version: 'v2', ...compose, 'ztunnel.service-account': undefined },
    imageLabels: ['ztunnel.service-account'],
  })
  await client.container(web.Id)
  t.equal(engine.asked.filter((path) => path.includes('/images/')).length, 1)
  engine.put({ ...web, Image: 'sha256:gone' })
  t.match(await client.container(web.Id), { labels, imageLabels: [] })
})

t.test('what cannot be read is named', async (t) => {
  const engine = await ScriptedEngine.start(t)
  const client = clientOf(t, engine.endpoint)
  const raw = rawContainer('web', { State: { Running: 'yes' } })
  engine.put(raw)
  await t.rejects(client.container(raw.Id), { code: 'malformed', message: /State\.Running/ })
  engine.respond = (request, response) => {
    if (!request.url?.endsWith('/networks')) return false
    response.end('{"Id": ')
    return true
  }
  await t.rejects(client.networks(), {
    code: 'malformed',
    message: /answer of unix:.* to \/networks is no JSON/,
  })
})

t.test('a refusal is passed on in the engine’s words', async (t) => {
  const engine = await ScriptedEngine.start(t)
  engine.respond = (request, response) => {
    if (!request.url?.endsWith('/info')) return false
    response.writeHead(403).end('{"message": "authorization denied by plugin"}')
    return true
  }
  await t.rejects(clientOf(t, engine.endpoint).info(), {
    code: 'refused',
    message: /answered \/v1\.41\/info with 403: authorization denied by plugin/,
  })
})

t.test('each reason for which nobody answers says what to do', async (t) => {
  const directory = shortDirectory(t)
  const info = (endpoint: string) => clientOf(t, endpoint).info()
  await t.rejects(info(join(directory, 'none.sock')), {
    code: 'socket-absent',
    message: /there is no .*none\.sock: is Docker installed and running\? In a container, mount it/,
  })
  const folder = join(directory, 'made-by-docker.sock')
  mkdirSync(folder)
  await t.rejects(info(folder), { code: 'socket-absent', message: /is a folder: Docker makes one/ })
  writeFileSync(join(directory, 'stale.sock'), '')
  await t.rejects(info(join(directory, 'stale.sock')), {
    code: 'unreachable',
    message: /the Docker daemon is not running; start it/,
  })
  const forbidden = explainFailure({ code: 'EACCES' }, parseDockerEndpoint(directory))
  t.match(forbidden, {
    code: 'permission-denied',
    message: /run as root, or as a member of the socket's group \(group \d+: docker run --group-add \d+/,
  })
})

t.test('somebody else answers', async (t) => {
  const engine = await ScriptedEngine.start(t)
  engine.apiVersion = undefined
  await t.rejects(clientOf(t, engine.endpoint).info(), {
    code: 'not-docker',
    message: /names no API version/,
  })
  const server = createServer((socket) => socket.on('error', () => undefined).end('SSH-2.0-OpenSSH_9.2\r\n'))
  const path = join(shortDirectory(t), 'other.sock')
  await new Promise<void>((resolve) => server.listen(path, resolve))
  t.teardown(() => void server.close())
  await t.rejects(clientOf(t, path).info(), { code: 'not-docker', message: /does not speak HTTP/ })
})

t.test('endpoints are read as Docker reads them', async (t) => {
  t.match(parseDockerEndpoint('unix:///var/run/docker.sock'), { socketPath: '/var/run/docker.sock' })
  t.match(parseDockerEndpoint('/run/user/1000/docker.sock'), { text: 'unix:///run/user/1000/docker.sock' })
  t.match(parseDockerEndpoint('tcp://10.0.0.1'), { origin: 'http://10.0.0.1:2375', socketPath: undefined })
  t.match(parseDockerEndpoint('tcp://[fd00::1]:2376'), { origin: 'http://[fd00::1]:2376' })
  for (const text of [
    `/${'x'.repeat(107)}`,
    'ssh://host',
    'unix://docker.sock',
    'tcp://host:0',
    'docker.sock',
  ]) {
    t.throws(() => parseDockerEndpoint(text), { code: 'invalid-endpoint' }, text)
  }
})
