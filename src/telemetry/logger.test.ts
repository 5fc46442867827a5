import { spawn } from 'node:child_process'
import { text as readText } from 'node:stream/consumers'
import fc from 'fast-check'
import t from 'tap'
import { fieldsFirst } from './fields-first.ts'
import { display } from './log-format.ts'
import { createLogger } from './logger.ts'
import { Lines, ManualClock } from './test-support.ts'

/** Controls but the tab, which separates; line breaks of any kind; bidirectional overrides. */
const CONTROLS = /(?!\t)[\p{Cc}\p{Zl}\p{Zp}\p{Cf}]/u

function logger(format: 'plain' | 'json', level = 'info') {
  const destination = new Lines()
  const clock = new ManualClock()
  return { log: createLogger({ format, level, destination, clock }), lines: destination.lines, clock }
}

t.test('a plain line', async (t) => {
  const { log, lines, clock } = logger('plain')
  clock.epochMs += 0.901
  log.scope('proxy::inbound').info('listener established', {
    address: display('[::]:15008'),
    component: 'inbound',
    transparent: true,
    backlog: 128,
    absent: undefined,
  })
  t.same(lines, [
    '2026-01-02T03:04:05.678901Z\tinfo\tproxy::inbound\tlistener established\taddress=[::]:15008 component="inbound" transparent=true backlog=128\n',
  ])
  log.scope('proxy::inbound').warn('no fields', {})
  t.equal(lines[1], '2026-01-02T03:04:05.678901Z\twarn\tproxy::inbound\tno fields\n')
})

t.test('a JSON line', async (t) => {
  const { log, lines } = logger('json')
  log.scope('access').info('connection complete', {
    'src.addr': display('10.0.0.5:40000'),
    bytes_sent: 67,
    absent: undefined,
  })
  log.scope('xds::client').error('stream ended', {
    error: new Error('no luck', { cause: new Error('refused') }),
  })
  t.equal(
    lines[0],
    '{"level":"info","time":"2026-01-02T03:04:05.678000Z","scope":"access","message":"connection complete","src.addr":"10.0.0.5:40000","bytes_sent":67}\n',
  )
  t.match(JSON.parse(lines[1] ?? ''), {
    level: 'error',
    scope: 'ztunnel::xds::client',
    message: 'stream ended',
    error: 'no luck: refused',
  })
})

t.test('time goes on, second by second', async (t) => {
  const { log, lines, clock } = logger('plain')
  const scope = log.scope('a')
  for (const step of [0, 321, 1, 86_400_000]) {
    clock.advance(step)
    scope.info('tick')
  }
  t.same(
    lines.map((line) => line.split('\t')[0]),
    [
      '2026-01-02T03:04:05.678000Z',
      '2026-01-02T03:04:05.999000Z',
      '2026-01-02T03:04:06.000000Z',
      '2026-01-03T03:04:06.000000Z',
    ],
  )
})

t.test('levels change at run time, scope by scope', async (t) => {
  const { log, lines } = logger('plain', 'warn')
  const access = log.scope('access')
  const other = log.scope('other')
  access.info('not yet')
  t.notOk(access.isLevelEnabled('info'))
  log.addDirectives('access=debug')
  access.debug('now')
  other.info('still not')
  t.equal(log.filter(), 'access=debug,warn')
  t.throws(() => log.addDirectives('access=loud'))
  t.equal(log.filter(), 'access=debug,warn', 'a refused directive changes nothing')
  log.resetFilter()
  access.info('not any more')
  t.equal(log.filter(), 'warn')
  t.equal(lines.length, 1)
  t.equal(log.scope('access'), access, 'one object for one scope')
})

t.test('every method writes its level', async (t) => {
  const { log, lines } = logger('plain', 'trace')
  const scope = log.scope('s')
  for (const level of ['trace', 'debug', 'info', 'warn', 'error'] as const) scope[level]('m')
  t.same(
    lines.map((line) => line.split('\t')[1]),
    ['trace', 'debug', 'info', 'warn', 'error'],
  )
})

t.test('what peers send cannot forge lines or fields', async (t) => {
  const { log, lines } = logger('plain')
  const scope = log.scope('s')
  scope.info('one\ntwo', { authority: display('x dst.identity="spiffe://a"'), text: 'a\tb\u001b[31m\u2028' })
  t.equal(
    lines[0]?.split('\t').slice(3).join('|'),
    'one\\u000atwo|authority="x dst.identity=\\"spiffe://a\\"" text="a\\tb\\u001b[31m\\u2028"\n',
  )
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (message, value) => {
      lines.length = 0
      scope.info(message, { shown: display(value), quoted: value, nested: { value } })
      const line = lines[0] ?? ''
      return line.endsWith('\n') && line.split('\n').length === 2 && !CONTROLS.test(line.slice(0, -1))
    }),
  )
})

t.test('a cycle of causes ends', async (t) => {
  const { log, lines } = logger('plain')
  const a = new Error('first')
  const b = new Error('second', { cause: a })
  a.cause = b
  log.scope('s').error('failed', { error: a })
  t.match(lines[0], 'error="first: second"')
})

t.test('libraries may put the fields first', async (t) => {
  const { log, lines } = logger('plain')
  fieldsFirst(log.scope('identity')).warn({ err: new Error('refused'), attempt: 2 }, 'cannot renew')
  t.match(lines[0], /warn\tidentity\tcannot renew\terr="refused" attempt=2\n$/)
})

t.test('standard output gets every line, also those just before the end', async (t) => {
  const script = `
    import { createLogger } from '${new URL('./logger.ts', import.meta.url).pathname}'
    const log = createLogger({ format: 'plain', level: 'info' }).scope('s')
    for (let i = 0; i < 100_000; i++) log.info('line ' + i, { padding: 'x'.repeat(100) })
    process.exit(0)`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const text = await readText(child.stdout)
  const found = new Set(text.split('\n').map((line) => line.split('\t')[3]))
  t.equal(found.size, 100_001, 'and the empty piece after the last line end')
})

for (const [how, end] of [
  ['an error that nobody caught', 'throw new Error("the end")'],
  ['nothing left to do', ''],
] as const) {
  t.test(`lines that wait for company are written when the process ends by ${how}`, async (t) => {
    const script = `
      import { createLogger } from '${new URL('./logger.ts', import.meta.url).pathname}'
      const log = createLogger({ format: 'json', level: 'info' }).scope('s')
      for (const message of ['one', 'two']) log.info(message)
      ${end}`
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    t.match(await readText(child.stdout), /"one"}\n.*"two"}\n$/)
  })
}

t.test('a warning or an error lets nothing wait', async (t) => {
  let handedOver = 0
  const destination = { write: () => {}, handOver: () => handedOver++ }
  const log = createLogger({ format: 'json', level: 'debug', destination }).scope('s')
  log.debug('m')
  log.info('m')
  t.equal(handedOver, 0)
  log.warn('m')
  t.equal(handedOver, 1)
  log.error('m')
  t.equal(handedOver, 2)
})

t.test('a whole filter takes the place of the one in force, and whoever follows it is told', async (t) => {
  const logger = createLogger({ format: 'json', level: 'info,access=off', destination: new Lines() })
  const told: string[] = []
  logger.onFilter((filter) => told.push(filter))
  logger.setFilter('debug')
  t.equal(logger.filter(), 'debug')
  logger.addDirectives('access=warn')
  logger.resetFilter()
  t.same(told, ['debug', 'access=warn,debug', 'access=off,info'])
})
