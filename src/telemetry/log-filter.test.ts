import t from 'tap'
import { TelemetryError } from './errors.ts'
import { formatLogFilter, parseLogFilter, passes, qualifiedScope, thresholdOf } from './log-filter.ts'

t.test('a level alone is for every scope', async (t) => {
  const filter = parseLogFilter('debug')
  t.equal(thresholdOf(filter, 'xds::client'), 'debug')
  t.equal(thresholdOf(filter, 'access'), 'debug')
})

t.test('the longest target that covers a scope decides', async (t) => {
  const filter = parseLogFilter('xds=debug,xds::client=trace,access=off,warn')
  t.equal(thresholdOf(filter, 'xds'), 'debug')
  t.equal(thresholdOf(filter, 'xds::handler'), 'debug')
  t.equal(thresholdOf(filter, 'xds::client'), 'trace')
  t.equal(thresholdOf(filter, 'access'), 'off')
  t.equal(thresholdOf(filter, 'xdsother'), 'warn', 'a target covers whole parts only')
})

t.test('scopes may be named as the reference names them', async (t) => {
  const filter = parseLogFilter('ztunnel::proxy=debug,ztunnel=warn,error')
  t.equal(thresholdOf(filter, 'proxy::inbound'), 'debug')
  t.equal(thresholdOf(filter, 'identity'), 'warn')
  t.equal(thresholdOf(filter, 'access'), 'error', 'access stands alone')
  t.equal(qualifiedScope('identity'), 'ztunnel::identity')
  t.equal(qualifiedScope('access'), 'access')
})

t.test('what a text leaves open comes from the base', async (t) => {
  const base = parseLogFilter('access=debug,warn')
  t.equal(formatLogFilter(parseLogFilter('dns=trace', base)), 'access=debug,dns=trace,warn')
  t.equal(formatLogFilter(parseLogFilter('error,access=info', base)), 'access=info,error')
  t.equal(formatLogFilter(parseLogFilter('')), 'info')
  t.equal(formatLogFilter(parseLogFilter(' INFO , access = Debug ')), 'access=debug,info')
})

t.test('wrong directives are refused by name', async (t) => {
  for (const text of [
    'verbose',
    'access',
    'access=',
    '=debug',
    'a b=debug',
    'x[span]=info',
    'access:debug',
    'toString',
  ]) {
    t.throws(() => parseLogFilter(text), TelemetryError, text)
  }
  const many = Array.from({ length: 257 }, (_, index) => `t${index}=info`).join(',')
  t.throws(() => parseLogFilter(many), { code: 'invalid-log-filter' })
})

t.test('severities', async (t) => {
  t.ok(passes('warn', 'info'))
  t.ok(passes('info', 'info'))
  t.notOk(passes('debug', 'info'))
  t.notOk(passes('error', 'off'))
})
