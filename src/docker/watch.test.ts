import t, { type Test } from 'tap'
import { DockerClient } from './client.ts'
import { rawContainer, ScriptedEngine } from './test-support.ts'
import { DockerWatch } from './watch.ts'

/** A watch whose changes can be waited for. */
async function watching(t: Test, engine: ScriptedEngine, timesMs: { ping?: number; answer?: number } = {}) {
  const { ping = 10_000, answer = 10_000 } = timesMs
  const client = new DockerClient(engine.endpoint, { answerTimeoutMs: answer })
  const lines: string[] = []
  let wake: () => void = () => undefined
  const log = {
    info: (message: string) => void lines.push(message),
    warn: (message: string) => void lines.push(message),
  }
  const watch = await DockerWatch.start({ client, log, onChange: () => wake(), pingIntervalMs: ping })
  t.teardown(async () => {
    await watch.close()
    await client.close()
  })
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await new Promise<void>((resolve) => (wake = resolve))
  }
  const names = () => [...watch.snapshot.containers.values()].map(({ name }) => name).sort()
  return { watch, lines, until, names }
}

t.test('begins with what is there, and follows what happens', async (t) => {
  const engine = await ScriptedEngine.start(t)
  const web = rawContainer('web')
  engine.put(web)
  const { watch, until, names } = await watching(t, engine)
  t.strictSame(names(), ['web'])
  t.equal(watch.snapshot.hostName, 'Host-1')
  const db = rawContainer('db')
  engine.put(db)
  engine.containerEvent('start', db.Id)
  await until(() => names().length === 2)
  engine.containers.delete(web.Id)
  engine.containerEvent('destroy', web.Id)
  await until(() => names().join() === 'db')
})

t.test('a network’s event concerns the container, and networks that come are known', async (t) => {
  const engine = await ScriptedEngine.start(t)
  const web = rawContainer('web')
  engine.put(web)
  const { watch, until } = await watching(t, engine)
  engine.put(
    rawContainer('web', {
      NetworkSettings: { Networks: { other: { NetworkID: 'net-2', IPAddress: '10.1.0.9' } } },
    }),
  )
  engine.networks.push({ Id: 'net-2', Name: 'other', Driver: 'bridge', Internal: true })
  engine.emit({ Type: 'network', Action: 'create', Actor: { ID: 'net-2', Attributes: {} } })
  engine.emit({
    Type: 'network',
    Action: 'connect',
    Actor: { ID: 'net-2', Attributes: { container: web.Id } },
  })
  await until(() => watch.snapshot.containers.get(web.Id)?.networks[0]?.name === 'other')
  t.match(watch.snapshot.networks.get('net-2'), { internal: true })
})

t.test('what people run in a container, and what it is to others, costs no question', async (t) => {
  const engine = await ScriptedEngine.start(t)
  const web = rawContainer('web')
  engine.put(web)
  const { until, names } = await watching(t, engine)
  const before = engine.asked.length
  engine.containerEvent('exec_create: cat /etc/hosts', web.Id)
  engine.emit({ Type: 'image', Action: 'pull', Actor: { ID: 'base' } })
  engine.put(rawContainer('db'))
  engine.containerEvent('start', rawContainer('db').Id)
  await until(() => names().length === 2)
  t.equal(engine.asked.length, before + 1, 'one container was asked for')
})

t.test('an engine that goes and comes: the picture stays, then what was missed is in it', async (t) => {
  const engine = await ScriptedEngine.start(t)
  engine.put(rawContainer('web'))
  const { watch, lines, until, names } = await watching(t, engine)
  await engine.stop()
  await until(() => watch.problem !== undefined)
  t.match(watch.problem?.message, /closed the connection|ended the connection|there is no|not running/)
  t.strictSame(names(), ['web'], 'what it last said stays')
  engine.containers.clear()
  engine.put(rawContainer('db'))
  await engine.start()
  await until(() => watch.problem === undefined)
  t.strictSame(names(), ['db'])
  t.match(lines.at(-1), 'Docker answers again')
  t.equal(
    lines.filter((line) => line.startsWith('Docker is away')).length <= 2,
    true,
    'not said at every attempt',
  )
})

t.test('a line that is no event ends the session, and the next begins with the whole', async (t) => {
  const engine = await ScriptedEngine.start(t)
  const { watch, until, names } = await watching(t, engine)
  engine.put(rawContainer('missed'))
  engine.send('{"Type": "container", "Act')
  engine.send('ion": oops}\n')
  await until(() => watch.problem !== undefined)
  t.match(watch.problem, { code: 'malformed', message: /an event of Docker is no JSON/ })
  await until(() => watch.problem === undefined)
  t.strictSame(names(), ['missed'])
})

t.test('an event in pieces, and several at once', async (t) => {
  const engine = await ScriptedEngine.start(t)
  const { until, names } = await watching(t, engine)
  const lines = ['one', 'two', 'dreì'].map((name) => {
    const raw = rawContainer(name)
    engine.put(raw)
    return `${JSON.stringify({ Type: 'container', Action: 'start', Actor: { ID: raw.Id, Attributes: { name } } })}\n`
  })
  const text = lines.join('')
  engine.send(text.slice(0, 30))
  engine.send(text.slice(30))
  await until(() => names().length >= 2)
})

t.test('a container that cannot be read costs the mesh that container', async (t) => {
  const engine = await ScriptedEngine.start(t)
  engine.put(rawContainer('broken', { State: { Running: 'perhaps' } }))
  engine.put(rawContainer('web'))
  const { lines, names } = await watching(t, engine)
  t.strictSame(names(), ['web'])
  t.match(lines, ['a container is passed over'])
})

t.test('an answer that comes late is not overtaken by what happens meanwhile', async (t) => {
  const engine = await ScriptedEngine.start(t)
  const web = rawContainer('web')
  engine.put(web)
  const { watch, until } = await watching(t, engine)
  const held: (() => void)[] = []
  engine.respond = (request, response) => {
    if (!request.url?.includes(web.Id) || held.length > 0) return false
    // The answer is of the moment of the question.
    const answer = JSON.stringify(engine.containers.get(web.Id))
    held.push(() => response.end(answer))
    queueMicrotask(() => {
      engine.put(rawContainer('web', { State: { Status: 'exited', Running: false } }))
      engine.containerEvent('die', web.Id)
      setImmediate(() => held[0]?.())
    })
    return true
  }
  engine.containerEvent('start', web.Id)
  await until(() => watch.snapshot.containers.get(web.Id)?.running === false)
  t.equal(held.length, 1)
})

t.test('an engine that hangs, with every connection open, counts as gone until it answers', async (t) => {
  const engine = await ScriptedEngine.start(t)
  engine.put(rawContainer('web'))
  const { watch, until, names } = await watching(t, engine, { ping: 20, answer: 200 })
  engine.respond = () => true
  await until(() => watch.problem !== undefined)
  t.match(watch.problem, {
    code: 'unreachable',
    message: /does not answer; its log \(journalctl -u docker\) may say why/,
  })
  t.strictSame(names(), ['web'])
  engine.respond = () => false
  await until(() => watch.problem === undefined)
})

t.test('nobody there at first is an error of the start', async (t) => {
  const client = new DockerClient('/nowhere/docker.sock')
  t.teardown(() => client.close())
  const log = { info: () => undefined, warn: () => undefined }
  await t.rejects(DockerWatch.start({ client, log, onChange: () => undefined }), { code: 'socket-absent' })
})
