import { isTunnel, summary } from './evidence.ts'
import type { AccessLine, LabCheck } from './model.ts'

export interface LoadEvidence {
  readonly lines: readonly AccessLine[]
  /** Text of proxy-b's metrics. */
  readonly metrics: string
}

/** What the lab's command opens at the least. */
const CONNECTIONS = 50
const RUN =
  'docker compose exec load node /node_modules/autocannon/autocannon.js --connections 50 --duration 10 http://httpbin:8000/hello'

/** 07: many connections at once, all through the mesh, over few HBONE connections. */
export const load: LabCheck<LoadEvidence> = {
  lab: '07-load',
  async gather(mesh) {
    const metrics = await mesh.ask('proxy-b', 'http://127.0.0.1:15020/metrics')
    return { lines: await mesh.accessLog(['proxy-a', 'proxy-b']), metrics: String(metrics) }
  },
  judge: ({ lines, metrics }) => {
    const ofLoad = lines.filter(({ fields }) => isFromLoad(fields))
    const arrived = ofLoad.filter(({ fields }) => fields['direction'] === 'inbound')
    const failed = ofLoad.findLast(({ fields }) => fields['error'] !== undefined)
    const tunnels = new Set(arrived.map(({ fields }) => fields['src.addr'])).size
    const plain = arrived.find((line) => !isTunnel(line))
    const counted = countedConnections(metrics)
    return [
      {
        what: `at least ${CONNECTIONS} connections of load arrived at httpbin`,
        right: arrived.length >= CONNECTIONS,
        seen: `${arrived.length} in the access log of proxy-b`,
        hint: RUN,
      },
      {
        what: 'none of them failed',
        right: arrived.length > 0 && failed === undefined,
        seen: summary(failed),
        hint: 'a policy of an earlier lab? ls compose/policies; else docker compose logs proxy-a proxy-b. What was before counts: docker compose up -d --force-recreate proxy-a proxy-b, and again',
      },
      {
        what: 'each in a tunnel, and many shared one HBONE connection',
        right: arrived.length > 0 && plain === undefined && tunnels < arrived.length,
        seen: plain === undefined ? `${tunnels} HBONE connections` : summary(plain),
        hint: 'src.addr in the lines of proxy-b is the HBONE connection: docker compose logs proxy-b',
      },
      {
        what: 'the metrics of proxy-b have counted them, with mutual_tls',
        right: counted >= CONNECTIONS,
        seen: `istio_tcp_connections_opened_total: ${counted}`,
        hint: 'they count from the start of proxy-b: run the load again',
      },
    ]
  },
}

function isFromLoad(fields: AccessLine['fields']): boolean {
  return /\bload\b/.test(fields['src.workload'] ?? '')
}

/** Opened by load, proven by mutual TLS, as the server's side counts. */
function countedConnections(metrics: string): number {
  return metrics
    .split('\n')
    .filter(
      (line) =>
        line.startsWith('istio_tcp_connections_opened_total{reporter="destination"') &&
        line.includes('source_canonical_service="load"') &&
        line.includes('connection_security_policy="mutual_tls"'),
    )
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
}
