import t from 'tap'
import { policyYaml } from '../test-support.ts'
import { gatewayClasses } from './gateway-classes.ts'
import { findingsOf } from './test-support.ts'

const bound = (name: string) =>
  policyYaml(`{targetRefs: [{group: gateway.networking.k8s.io, kind: GatewayClass, name: ${name}}]}`)
const CLASS =
  '---\napiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: waypoint}\nspec: {}\n'

t.test('a class of gateways must be Istio’s or in the YAML', async (t) => {
  t.strictSame(findingsOf(gatewayClasses, bound('istio-waypoint')), [])
  t.strictSame(findingsOf(gatewayClasses, CLASS + bound('waypoint')), [])
  t.strictSame(findingsOf(gatewayClasses, bound('waypoint')), [
    'warning spec.targetRefs: there is no GatewayClass waypoint',
  ])
})
