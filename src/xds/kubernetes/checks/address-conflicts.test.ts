import t from 'tap'
import { podYaml } from '../test-support.ts'
import { addressConflicts } from './address-conflicts.ts'
import { type Cases, findingsOf, serviceYaml } from './test-support.ts'

const CASES: Cases = [
  [
    'two pods with one address',
    podYaml('a') + podYaml('b'),
    /^error status.podIP: 10.0.0.1 is the address of Pod foo\/a too \(Pod a status.podIP\)$/,
  ],
  [
    "pods in the host's network share it",
    podYaml('a', ', hostNetwork: true') + podYaml('b', ', hostNetwork: true'),
  ],
  [
    'a pod that has ended holds no address',
    podYaml('a') + podYaml('b').replace('status: {', 'status: {phase: Failed, '),
  ],
  [
    'two services with one address, written differently',
    serviceYaml('a', "{clusterIP: 'fd00:0::1'}") + serviceYaml('b', "{clusterIP: 'fd00::1'}"),
    /^error spec.clusterIP: fd00::1 is the address of Service foo\/a too/,
  ],
  [
    'a service with the address of a pod',
    podYaml('a') + serviceYaml('b', '{clusterIP: 10.0.0.1}'),
    /^error spec.clusterIP: 10.0.0.1 is the address of Pod foo\/a too/,
  ],
  ['headless services', serviceYaml('a', '{clusterIP: None}') + serviceYaml('b', '{clusterIP: None}')],
]

for (const [name, yaml, ...expected] of CASES) {
  t.test(name, async (t) => {
    const findings = findingsOf(addressConflicts, yaml)
    t.equal(findings.length, expected.length, findings.join('\n'))
    t.match(findings, expected)
  })
}
