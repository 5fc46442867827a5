import t from 'tap'
import { createMetrics } from './metrics.ts'
import { workload } from './test-support.ts'

t.test('each use of a hostname workload counts, by source and hostname', async (t) => {
  const metrics = createMetrics()
  t.notMatch(await metrics.exposition(), 'on_demand_dns', 'no samples, no family')
  metrics.onDemandDns(workload('client'), 'db.example.com')
  metrics.onDemandDns(workload('client'), 'db.example.com')
  t.match(
    await metrics.exposition(),
    'istio_on_demand_dns_total{source_workload="client-deploy",source_canonical_service="client-app",source_canonical_revision="v1",source_workload_namespace="default",source_principal="spiffe://cluster.local/ns/default/sa/client",source_app="client-app",source_version="v1",source_cluster="Kubernetes",hostname="db.example.com"} 2',
  )
})

t.test('the number of series has a ceiling', async (t) => {
  const metrics = createMetrics()
  for (let i = 0; i < 2000; i++) metrics.onDemandDns(workload(`client-${i}`), `host-${i}.example.com`)
  const lines = (await metrics.exposition())
    .split('\n')
    .filter((line) => line.startsWith('istio_on_demand_dns_total'))
  t.equal(lines.length, 1001)
  t.match(lines.at(-1), /source_workload="other".*hostname="other"} 1000/)
})
