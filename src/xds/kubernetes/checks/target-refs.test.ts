import t from 'tap'
import { policyYaml } from '../test-support.ts'
import { targetRefs } from './target-refs.ts'
import { type Cases, findingsOf, serviceYaml } from './test-support.ts'

const GATEWAY = `---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: wp, namespace: foo}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}\n`
const bound = (ref: string) => policyYaml(`{targetRefs: [${ref}]}`)

const CASES: Cases = [
  ['a service that is there', serviceYaml('a', '{}') + bound('{kind: Service, name: a}')],
  [
    'a service that is not',
    serviceYaml('a', '{}') + bound('{kind: Service, name: b}'),
    /^warning spec.targetRefs: there is no Service foo\/b$/,
  ],
  ['a gateway that is there', GATEWAY + bound('{group: gateway.networking.k8s.io, kind: Gateway, name: wp}')],
  [
    'a gateway of the wrong group',
    GATEWAY + bound('{kind: Gateway, name: wp}'),
    /^warning spec.targetRefs: there is no Gateway foo\/wp$/,
  ],
  [
    'an external service that is not there',
    bound('{group: networking.istio.io, kind: ServiceEntry, name: x}'),
    /there is no networking.istio.io ServiceEntry foo\/x$/,
  ],
  [
    'the class of waypoints',
    bound('{group: gateway.networking.k8s.io, kind: GatewayClass, name: istio-waypoint}'),
  ],
  [
    'an unknown class',
    bound('{group: gateway.networking.k8s.io, kind: GatewayClass, name: waypoint}'),
    /there is no gateway.networking.k8s.io GatewayClass waypoint$/,
  ],
]

for (const [name, yaml, ...expected] of CASES) {
  t.test(name, async (t) => {
    const findings = findingsOf(targetRefs, yaml)
    t.equal(findings.length, expected.length, findings.join('\n'))
    t.match(findings, expected)
  })
}
