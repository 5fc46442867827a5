import t from 'tap'
import { podYaml } from '../test-support.ts'
import { servicePorts } from './service-ports.ts'
import { type Cases, findingsOf, serviceYaml } from './test-support.ts'

const pod = podYaml(
  'a',
  ', containers: [{ports: [{name: web, containerPort: 8080}, {name: dns, containerPort: 53, protocol: UDP}]}]',
)
const service = (ports: string) => serviceYaml('a', `{selector: {app: a}, ports: ${ports}}`)

const CASES: Cases = [
  ['a name that a pod has', pod + service('[{port: 80, targetPort: web}]')],
  [
    'a name that no pod has',
    pod + service('[{port: 80, targetPort: web}, {port: 81, targetPort: wbe, name: b}]'),
    /^warning spec.ports\[1\].targetPort: no selected pod has a TCP port named "wbe"/,
  ],
  [
    'a name of another protocol',
    pod + service('[{port: 53, targetPort: dns}]'),
    /^warning spec.ports\[0\].targetPort: no selected pod has a TCP port named "dns"/,
  ],
  [
    'UDP is not carried, and nothing said of it',
    pod + service('[{port: 53, targetPort: nothing, protocol: UDP}]'),
  ],
  ['a number needs no declaration', pod + service('[{port: 80, targetPort: 9999}]')],
  ['without pods the selector is to blame', service('[{port: 80, targetPort: web}]')],
  [
    'one port twice',
    service('[{port: 80, name: a}, {port: 80, name: b}]'),
    /^error spec.ports\[1\].port: port 80\/TCP is there twice \(Service a spec.ports\[0\].port\)/,
  ],
  ['one number for two protocols', service('[{port: 53, name: a}, {port: 53, name: b, protocol: UDP}]')],
]

for (const [name, yaml, ...expected] of CASES) {
  t.test(name, async (t) => {
    const findings = findingsOf(servicePorts, yaml)
    t.equal(findings.length, expected.length, findings.join('\n'))
    t.match(findings, expected)
  })
}
