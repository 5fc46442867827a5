import t from 'tap'
import { isCaptured } from './captured.ts'
import type { Pod } from './objects.ts'
import { objectsOf, podYaml } from './test-support.ts'

const ambient =
  'apiVersion: v1\nkind: Namespace\nmetadata: {name: foo, labels: {istio.io/dataplane-mode: ambient}}\n'

function captured(pod: string, namespace: string | undefined): boolean {
  const objects = objectsOf(`${namespace ?? ''}${pod}`)
  const [first] = objects.pods.values()
  return isCaptured(first as Pod, objects.namespaces.get('foo'))
}

t.test(
  'enrolment is istio-cni’s: the pod’s word before its namespace’s, and own proxies never',
  async (t) => {
    const labelled = (label: string) => podYaml('a').replace('{app: a}', `{app: a, ${label}}`)
    t.equal(captured(podYaml('a'), ambient), true)
    t.equal(captured(podYaml('a'), undefined), false)
    t.equal(captured(labelled('istio.io/dataplane-mode: none'), ambient), false)
    t.equal(captured(labelled('istio.io/dataplane-mode: ambient'), undefined), true)
    t.equal(captured(podYaml('a', ', hostNetwork: true'), ambient), false)
    t.equal(captured(labelled('sidecar.istio.io/inject: "true"'), ambient), false)
    t.equal(captured(labelled('sidecar.istio.io/inject: "false"'), ambient), true)
    t.equal(captured(labelled('networking.istio.io/tunnel: http'), ambient), false)
    t.equal(captured(podYaml('a', '', ', annotations: {sidecar.istio.io/status: "{}"}'), ambient), false)
    t.equal(captured(podYaml('ztunnel'), ambient), false)
    t.equal(
      captured(
        labelled('istio.io/dataplane-mode: ambient').replace('namespace: foo', 'namespace: kube-system'),
        undefined,
      ),
      false,
    )
  },
)
