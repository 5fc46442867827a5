import { parseAccessLine } from './access-line.ts'
import type { AccessLine, Call, Finding } from './model.ts'

/** As proxies wrote them, without the time and what no check reads. */
export const RECORDED = {
  sent: 'info\taccess\tconnection complete\tsrc.addr=172.18.0.11:34624 src.workload="ztunnel-sleep-1" src.namespace="demo" src.identity="spiffe://cluster.local/ns/demo/sa/sleep" dst.addr=172.18.0.8:15008 dst.hbone_addr=172.18.0.8:8000 dst.service="httpbin.demo.svc.cluster.local" dst.workload="ztunnel-httpbin-1" dst.identity="spiffe://cluster.local/ns/demo/sa/httpbin" direction="outbound" bytes_sent=81 bytes_recv=398 duration="11ms" trace_id="7846"',
  arrived:
    'info\taccess\tconnection complete\tsrc.addr=172.18.0.11:58138 src.workload="ztunnel-sleep-1" src.namespace="demo" src.identity="spiffe://cluster.local/ns/demo/sa/sleep" dst.addr=172.18.0.8:15008 dst.hbone_addr=172.18.0.8:8000 dst.service="httpbin.demo.svc.cluster.local" dst.workload="ztunnel-httpbin-1" dst.identity="spiffe://cluster.local/ns/demo/sa/httpbin" direction="inbound" duration="9ms" policy="demo/httpbin" rule=1 trace_id="7846"',
  plain:
    'info\taccess\tconnection complete\tsrc.addr=172.18.0.2:55516 dst.addr=172.18.0.5:5000 dst.service="helloworld.demo.svc.cluster.local" dst.workload="ztunnel-helloworld-v1-1" dst.namespace="demo" direction="inbound" bytes_sent=409 bytes_recv=87 duration="4ms"',
  proven:
    'info\taccess\tconnection complete\tsrc.addr=172.18.0.11:54492 src.workload="ztunnel-sleep-1" src.identity="spiffe://cluster.local/ns/demo/sa/sleep" dst.addr=172.18.0.5:15008 dst.hbone_addr=172.18.0.5:5000 dst.service="helloworld.demo.svc.cluster.local" dst.workload="ztunnel-helloworld-v1-1" dst.identity="spiffe://cluster.local/ns/demo/sa/helloworld" direction="inbound" duration="19ms" trace_id="892e"',
  denied:
    'error\taccess\tconnection complete\tsrc.addr=172.18.0.3:37579 src.workload="ztunnel-guest-1" src.identity="spiffe://cluster.local/ns/demo/sa/guest" dst.addr=172.18.0.5:15008 dst.hbone_addr=172.18.0.5:5000 dst.service="helloworld.demo.svc.cluster.local" dst.workload="ztunnel-helloworld-v1-1" dst.identity="spiffe://cluster.local/ns/demo/sa/helloworld" direction="inbound" bytes_sent=0 bytes_recv=0 duration="0ms" error="connection closed due to policy rejection: explicitly denied by: demo/helloworld-no-guests" policy="demo/helloworld-no-guests" rule=1 trace_id="2685"',
  notAllowed:
    'error\taccess\tconnection complete\tsrc.addr=172.18.0.2:54662 dst.addr=172.18.0.8:8000 dst.service="httpbin.demo.svc.cluster.local" dst.workload="ztunnel-httpbin-1" direction="inbound" bytes_sent=0 bytes_recv=0 duration="2ms" error="connection closed due to policy rejection: allow policies exist, but none allowed" unmatched="demo/httpbin" judged="no identity from 172.18.0.2 to 172.18.0.8:8000"',
  gone: 'error\taccess\tconnection complete\tsrc.addr=172.18.0.11:60202 src.workload="ztunnel-sleep-1" src.identity="spiffe://cluster.local/ns/demo/sa/sleep" dst.addr=172.18.0.8:15008 dst.hbone_addr=172.18.0.8:8000 dst.service="httpbin.demo.svc.cluster.local" dst.workload="ztunnel-httpbin-1" dst.identity="spiffe://cluster.local/ns/demo/sa/httpbin" direction="outbound" duration="12ms" error="io error: connect ECONNREFUSED 172.18.0.8:15008" trace_id="f29c"',
  request:
    'info\taccess\trequest\tmethod="GET" path="/hello" protocol="HTTP/1.1" response_code=200 response_flags="-" route_name="HTTPRoute/demo/helloworld" route_rule="all" src.addr=172.18.0.11:34056 src.workload="ztunnel-sleep-1" src.identity="spiffe://cluster.local/ns/demo/sa/sleep" dst.hbone_addr=240.240.112.0:5000 dst.service="helloworld.demo.svc.cluster.local" trace_id="8633"',
  forbidden:
    'info\taccess\trequest\tmethod="GET" path="/admin" protocol="HTTP/1.1" response_code=403 response_flags="-" policy="demo/helloworld" src.addr=172.18.0.11:34057 src.identity="spiffe://cluster.local/ns/demo/sa/sleep" dst.service="helloworld.demo.svc.cluster.local" trace_id="168e"',
} as const

/** A recorded line, read as that of a proxy. */
export function line(proxy: string, name: keyof typeof RECORDED): AccessLine {
  const read = parseAccessLine(proxy, `2026-11-21T16:49:35.995152Z\t${RECORDED[name]}`)
  if (read === undefined) throw new Error(`not an access line: ${name}`)
  return read
}

/** A call that was answered; whoever wants another says how it differs. */
export function call(other: Partial<Call> = {}): Call {
  return {
    from: 'sleep',
    url: 'http://httpbin:8000/hello',
    status: 200,
    exit: 0,
    body: '',
    lines: [],
    ...other,
  }
}

/** A call without an answer. */
export function failed(from: string, ...lines: readonly AccessLine[]): Call {
  return call({ from, status: 0, exit: 56, lines })
}

/** What is wrong. */
export function wrong(findings: readonly Finding[]): readonly string[] {
  return findings.filter(({ right }) => !right).map(({ what }) => what)
}
