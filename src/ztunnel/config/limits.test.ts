import t from 'tap'
import { limits } from './limits.ts'
import { Values } from './values.ts'

const kernel = (soft: string) => ({
  exists: () => true,
  readText: () =>
    `Limit                     Soft Limit\nMax open files            ${soft}    524288    files\n`,
})

t.test('one pod may take a quarter of the descriptors, two for each connection', async (t) => {
  t.match(limits(new Values({}), kernel('1024'), 'shared'), { maxConnectionsPerWorkload: 128 })
  t.match(limits(new Values({}), kernel('1024'), 'dedicated'), { maxConnectionsPerWorkload: 384 })
  t.match(limits(new Values({}), kernel('1048576'), 'shared'), { maxConnectionsPerWorkload: 20_000 })
})

t.test('both limits can be set', async (t) => {
  const env = { ZTUNNEL_MAX_CONNECTIONS_PER_WORKLOAD: '50000', ZTUNNEL_METRICS_MAX_LABEL_SETS: '10' }
  t.same(limits(new Values(env), kernel('1024'), 'shared'), {
    maxConnectionsPerWorkload: 50_000,
    metricsMaxLabelSets: 10,
  })
})
