import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { NetworkNamespace } from '../linux/index.ts'
import { Component } from './component.ts'

const start = (folder: string, program: string): Component =>
  Component.start({
    name: 'thing@node-a',
    namespace: NetworkNamespace.current(),
    argv: ['-e', program],
    logFile: join(folder, 'thing.log'),
  })

t.test('a line that has been printed already is waited for no longer', async (t) => {
  const thing = start(t.testdir({}), 'console.log("one"); console.error("two"); setInterval(() => {}, 1e6)')
  await thing.waitForLine((line) => line === 'two', 'say two')
  await thing.waitForLine((line) => line === 'one', 'say one')
  t.ok(thing.running)
  await thing.stop()
  t.notOk(thing.running)
  t.match(readFileSync(thing.logFile, 'utf8'), 'one')
})

t.test('one that ends too early is named with its last words', async (t) => {
  const thing = start(t.testdir({}), 'console.error("no such port"); process.exitCode = 3')
  await t.rejects(
    thing.waitForLine((line) => line === 'ready', 'become ready'),
    {
      code: 'not-ready',
      message:
        /^thing@node-a ended \(exit status 3\) before it could become ready\. Its last lines:\n {2}no such port$/,
    },
  )
})

t.test('one that takes too long is named with how far it came', async (t) => {
  const thing = start(t.testdir({}), 'setInterval(() => {}, 1e6)')
  const never = new Promise<never>(() => undefined)
  await t.rejects(
    thing.within(never, 'become ready', 5, () => 'still awaiting 2 tasks'),
    {
      code: 'not-ready',
      message: /did not become ready within 0\.005 s \(still awaiting 2 tasks\)\. It printed nothing/,
    },
  )
  await thing.stop()
})

t.test('one that ignores SIGTERM is killed', async (t) => {
  const thing = start(
    t.testdir({}),
    'process.on("SIGTERM", () => {}); console.log("up"); setInterval(() => {}, 1e6)',
  )
  await thing.waitForLine((line) => line === 'up', 'come up')
  await thing.stop(1)
  t.match(await thing.exited, { signal: 'SIGKILL' })
})
