import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { listenTcp, type NetworkNamespace } from '../../linux/index.ts'
import { addNamespace, ip } from '../../linux/test-support.ts'
import { createSocketFactory } from '../proxy/socket-factory.ts'
import { PORT, proxyWithAgent } from './test-support.ts'

// The agent's side of every test is a script: these are the exchanges of wire/ztunnel 11.3.

t.test('hello, pods, snapshot: each request has one answer, in order', async (t) => {
  const { agent, events, states } = proxyWithAgent(t)
  t.equal(await agent.accept(), 1, 'version 1')
  const [first, second] = [pod(t, 'as-1'), pod(t, 'as-2')]
  t.equal(await agent.add('one', first), '')
  t.equal(await agent.add('two', second), '')
  t.equal(await agent.ask({ kind: 'snapshot-sent' }), '')
  t.equal(await agent.ask({ kind: 'del', uid: 'two' }), '')
  t.equal(await agent.ask({ kind: 'del', uid: 'nobody' }), '', 'an unknown pod is gone already')
  t.same(states(), { one: 'Up' })
  t.same(events, ['connected', 'started one', 'started two', 'stopped two'])
  await refused(second)
  ;(await dial(first)).destroy()
})

t.test('named again in its namespace a pod is left alone, in another its proxy moves', async (t) => {
  const { agent, events } = proxyWithAgent(t)
  await agent.accept()
  const [old, young] = [pod(t, 'as-old'), pod(t, 'as-young')]
  await agent.add('pod', old)
  const connection = await dial(old)
  const before = openFds()
  t.equal(await agent.add('pod', old), '')
  t.equal(openFds(), before, 'the second descriptor of the namespace is closed')
  t.equal(await echo(connection, 'still here'), 'still here')
  t.equal(await agent.add('pod', young), '')
  await refused(old)
  ;(await dial(young)).destroy()
  t.same(events.slice(1), ['started pod', 'stopped pod', 'started pod'])
  connection.destroy()
})

t.test('a port that is taken in the pod is reported, tried every 5 s, and stops nobody else', async (t) => {
  const { agent, timers, events, states } = proxyWithAgent(t)
  await agent.accept()
  const [bad, good] = [pod(t, 'as-bad'), pod(t, 'as-good')]
  const taken = occupy(bad)
  t.match(
    await agent.add('bad', bad),
    /^failure to start proxy : failed to bind to address .*:15008: .*EADDRINUSE/,
  )
  t.equal(await agent.add('good', good), '', 'on the same connection')
  t.equal(await agent.ask({ kind: 'snapshot-sent' }), '')
  t.match(states(), { bad: /^Pending: failed to bind/, good: 'Up' })
  t.same(timers.waiting, [5000])
  timers.fire(5000)
  await until(() => events.includes('retry failed bad'))
  t.same(timers.waiting, [5000], 'and again')
  taken.close()
  await once(taken, 'close')
  timers.fire(5000)
  await until(() => events.includes('started bad'))
  t.same(states(), { bad: 'Up', good: 'Up' })
  ;(await dial(bad)).destroy()
})

t.test('a lost agent costs no running pod and no open connection; its new snapshot decides', async (t) => {
  const { agent, timers, events, states } = proxyWithAgent(t)
  await agent.accept()
  const [stays, goes, kept] = [pod(t, 'as-stays'), pod(t, 'as-goes'), pod(t, 'as-kept')]
  await agent.add('stays', stays)
  await agent.add('goes', goes)
  await agent.add('kept', kept)
  await agent.ask({ kind: 'snapshot-sent' })
  const connection = await dial(stays)
  agent.hangUp()
  await until(() => timers.waiting.includes(20))
  t.equal(await echo(connection, 'meanwhile'), 'meanwhile')
  ;(await dial(goes)).destroy()

  timers.fire(20)
  await agent.accept()
  t.equal(await agent.ask({ kind: 'del', uid: 'stays' }), '')
  t.same(Object.keys(states()), ['stays', 'goes', 'kept'], 'a removal before the snapshot cuts nobody')
  t.equal(await agent.add('stays', stays), '')
  t.equal(await agent.ask({ kind: 'keep', uid: 'kept' }), '')
  t.equal(await agent.ask({ kind: 'snapshot-sent' }), '')
  t.same(states(), { stays: 'Up', kept: 'Up' })
  t.equal(await echo(connection, 'afterwards'), 'afterwards')
  t.same(events.slice(4), ['retry in 20', 'connected', 'stopped goes'])
  connection.destroy()
})

t.test('an agent that hangs up at once is asked less and less often', async (t) => {
  const { agent, timers, events } = proxyWithAgent(t)
  for (const pause of [20, 40, 80, 160]) {
    await agent.accept()
    agent.hangUp()
    await until(() => timers.waiting.includes(pause))
    timers.fire(pause)
  }
  await agent.accept()
  await agent.ask({ kind: 'snapshot-sent' })
  agent.hangUp()
  await until(() => events.at(-1) === 'retry in 20')
  t.pass('one that has asked something counts as well again')
})

for (const [what, request] of [
  ['a second snapshot', { kind: 'snapshot-sent' }],
  ['a pod to keep after the snapshot', { kind: 'keep', uid: 'u' }],
] as const) {
  t.test(`${what} breaks the protocol: it is answered, and the session gives up`, async (t) => {
    const { agent, ended } = proxyWithAgent(t)
    await agent.accept()
    await agent.ask({ kind: 'snapshot-sent' })
    t.match(await agent.ask(request), /^failure to process message : ZDS protocol violated/)
    await t.rejects(ended, { code: 'zds-protocol' })
  })
}

t.test('what cannot be read is answered, then the connection is made anew', async (t) => {
  const { agent, timers } = proxyWithAgent(t)
  await agent.accept()
  agent.send(Buffer.from('garbage!'))
  t.match(await agent.answer(), /^failure to read message : /)
  t.equal(await agent.answer(), '(connection closed)')
  await until(() => timers.waiting.includes(20))
  timers.fire(20)
  t.equal(await agent.accept(), 1)
})

t.test('a pod that comes without its name is refused alone', async (t) => {
  const { agent } = proxyWithAgent(t)
  await agent.accept()
  const netns = pod(t, 'as-nameless')
  // AddWorkload with a uid and nothing else.
  agent.send(Buffer.from('0a030a0175', 'hex'), [netns.fd])
  t.match(await agent.answer(), /^failure to process message : .*workload_info/)
  t.equal(await agent.add('named', netns), '')
})

t.test('a start that hangs is answered in time, shows as pending, and counts when it is done', async (t) => {
  const gate = Promise.withResolvers<void>()
  const { agent, timers, states } = proxyWithAgent(t, {
    onRun: (uid) => (uid === 'slow' ? gate.promise : undefined),
  })
  await agent.accept()
  const answer = agent.add('slow', pod(t, 'as-slow'))
  await until(() => timers.waiting.includes(4000))
  timers.fire(4000)
  t.match(await answer, /^failure to start proxy : not done within 4000 ms/)
  t.equal(await agent.add('quick', pod(t, 'as-quick')), '', 'the next request is not held up')
  t.match(states(), { slow: /^Pending/, quick: 'Up' })
  gate.resolve()
  await until(() => states()['slow'] === 'Up')
})

t.test('an error text of any length fits into what the agent reads', async (t) => {
  const { agent } = proxyWithAgent(t, {
    onRun: () => Promise.reject(new Error('é'.repeat(5000))),
  })
  await agent.accept()
  t.match(await agent.add('pod', pod(t, 'as-long')), /^failure to start proxy : é+…$/)
})

/** A pod's network: it is reached from within, on its loopback. */
function pod(t: Test, name: string): NetworkNamespace {
  const namespace = addNamespace(name)
  t.teardown(() => {
    namespace.close()
    ip('netns', 'del', name)
  })
  return namespace
}

function connectTo(namespace: NetworkNamespace): Socket {
  const sockets = createSocketFactory({ namespace, mark: undefined, reusePort: false })
  return sockets.connect({ address: '127.0.0.1', port: PORT })
}

async function dial(namespace: NetworkNamespace): Promise<Socket> {
  const socket = connectTo(namespace)
  await once(socket, 'connect')
  return socket
}

/** Resolves when nobody listens there. */
async function refused(namespace: NetworkNamespace): Promise<void> {
  const socket = connectTo(namespace)
  const [error] = await Promise.race([
    once(socket, 'connect').then(() => [{ code: 'connected' }]),
    new Promise<[{ code: string }]>((resolve) => socket.once('error', (e) => resolve([{ code: '', ...e }]))),
  ])
  socket.destroy()
  if (error?.code !== 'ECONNREFUSED') throw new Error(`expected a refusal, got ${error?.code}`)
}

async function echo(socket: Socket, text: string): Promise<string> {
  socket.write(text)
  const [data] = await once(socket, 'data')
  return String(data)
}

/** Another program of the pod that has the port. */
function occupy(namespace: NetworkNamespace): Server {
  const { fd } = namespace.run(() => listenTcp({ address: '0.0.0.0', port: PORT }))
  return createServer().listen({ fd })
}

function openFds(): number {
  return readdirSync('/proc/self/fd').length
}

/** Waits, turn by turn of the event loop, for what no event tells; bounded by the test's own time limit. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate)
}
