import { isFrom, isTunnel, lastOf, SLEEP, summary, trustedBy } from './evidence.ts'
import type { AccessLine, LabCheck } from './model.ts'

/** 01: sleep has talked to httpbin, both proxies carried it, and each side proved who it is. */
export const firstConnection: LabCheck<readonly AccessLine[]> = {
  lab: '01-first-connection',
  gather: (mesh) => mesh.accessLog(['proxy-a', 'proxy-b']),
  judge: (lines) => {
    const ofHttpbin = lines.filter(({ fields }) => fields['dst.service']?.startsWith('httpbin.') === true)
    const sent = lastOf(
      ofHttpbin,
      ({ proxy, fields }) => proxy === 'proxy-a' && fields['direction'] === 'outbound',
    )
    const arrived = lastOf(
      ofHttpbin,
      ({ proxy, fields }) =>
        proxy === 'proxy-b' && fields['direction'] === 'inbound' && isFrom(fields, SLEEP),
    )
    return [
      {
        what: 'a connection from sleep to httpbin went out through proxy-a',
        right: sent !== undefined,
        seen: summary(sent),
        hint: 'make one: docker compose exec sleep curl -s http://httpbin:8000/hello',
      },
      {
        what: 'it travelled in a tunnel (HBONE), not in plain TCP',
        right: sent !== undefined && isTunnel(sent),
        seen: summary(sent),
        hint: 'is the label istio.io/dataplane-mode: ambient on both? docker compose logs agent-a agent-b',
      },
      {
        what: "proxy-b let it in, and knows the client by sleep's certificate",
        right: arrived !== undefined && arrived.fields['error'] === undefined,
        seen: summary(arrived),
        hint: 'what did proxy-b say? docker compose logs proxy-b; which policy holds is in compose/policies/httpbin.yaml',
      },
      trustedBy(sent, 'httpbin'),
    ]
  },
}
