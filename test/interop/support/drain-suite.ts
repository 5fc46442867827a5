import type { Socket } from 'node:net'
import type { Test } from 'tap'
import type { EnvoyProcess } from './envoy-process.ts'
import { openAtOnce } from './many-tunnels.ts'
import type { TestApp } from './sockets.ts'
import { receive } from './tunnel-suite.ts'

/** An Envoy that can be started again, and a port that leads through it. */
export interface Restartable {
  readonly start: (argv?: readonly string[]) => Promise<EnvoyProcess>
  readonly dial: () => Promise<Socket>
  readonly app: TestApp
  /** Statistics of the connections on which it says GOAWAY; absent where it takes plain connections. */
  readonly downstream?: string | undefined
}

/** At a time, under traffic. */
const TUNNELS = 20
const ROUNDS = 10
/** Says GOAWAY on the next request of each connection, and closes the port after the time. */
const DRAIN_FLAGS = ['--drain-strategy', 'immediate', '--drain-time-s', '20']

/** Envoy drains its listeners, as it does before it is replaced: nothing fails meanwhile. */
export async function drains(t: Test, { start, dial, app, downstream }: Restartable): Promise<void> {
  await using envoy = await start(DRAIN_FLAGS)
  const long = await dial()
  const accepted = await app.accept()
  t.equal(await openAtOnce(TUNNELS, dial, app), TUNNELS)
  await envoy.admin('/drain_listeners?graceful', 'POST')
  for (let round = 0; round < ROUNDS; round++) t.equal(await openAtOnce(TUNNELS, dial, app), TUNNELS)
  if (downstream !== undefined) {
    t.ok((await envoy.stat(`${downstream}.downstream_cx_total`)) > 1, 'more than one connection')
    t.ok((await envoy.stat(`${downstream}.downstream_cx_drain_close`)) > 0, 'GOAWAY was sent')
  }
  long.end('question')
  t.equal((await receive(accepted)).text, 'question')
  accepted.end('answer')
  t.equal((await receive(long)).text, 'answer')
}

/** Envoy ends with tunnels open, and starts anew: clients and the application are told, the next tunnels work. */
export async function restarts(
  t: Test,
  { start, dial, app }: Restartable,
  signal: NodeJS.Signals,
): Promise<void> {
  const first = await start()
  const open = await Promise.all(Array.from({ length: TUNNELS }, () => dial()))
  const heard: Promise<unknown>[] = []
  for (let i = 0; i < TUNNELS; i++) heard.push(receive(await app.accept()))
  await first.stop(signal)
  for (const client of open) t.equal((await receive(client)).bytes, 0)
  await Promise.all(heard)
  await using _second = await start()
  t.equal(await openAtOnce(TUNNELS, dial, app), TUNNELS)
}
