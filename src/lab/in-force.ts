import { policyName } from '../mesh/index.ts'
import { loadFolder, translate } from '../xds/kubernetes/index.ts'
import { dumpPolicy } from '../ztunnel/admin/config-dump.ts'
import { LabError } from './errors.ts'
import type { MeshLab } from './mesh-lab.ts'

/** Bound of a change's way from the folder to the last proxy, milliseconds. It takes a fifth of a second. */
const IN_FORCE_TIMEOUT_MS = 20_000
/** Between two looks, milliseconds. */
const LOOK_MS = 25

/**
 * Waits until every proxy of the lab enforces what its folder of YAML says:
 * exactly those policies, on exactly those workloads. Rejects with LabError
 * `bad-manifest` for YAML that cannot be used, and `not-ready` in the end.
 */
export async function untilInForce(lab: MeshLab, signal?: AbortSignal): Promise<void> {
  const expected = await policiesOfFolder(lab)
  const deadline = performance.now() + IN_FORCE_TIMEOUT_MS
  for (const place of proxyPlaces(lab)) {
    for (;;) {
      signal?.throwIfAborted()
      const seen = await policiesOfProxy(lab, place)
      if (seen === expected) break
      if (performance.now() > deadline)
        throw new LabError(
          'not-ready',
          `the proxy of ${place} does not enforce the policies of ${lab.state.config} after ${IN_FORCE_TIMEOUT_MS / 1000} s; expected ${expected}; it has ${seen}`,
        )
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    }
  }
}

/** A node's proxy is asked at the node, a sidecar in its pod. */
function proxyPlaces({ topology }: MeshLab): readonly string[] {
  const places = topology.pods.flatMap(({ mode, node, id }) =>
    mode === 'plain' ? [] : [mode === 'ambient' ? node : id],
  )
  return [...new Set(places)]
}

async function policiesOfFolder({ state }: MeshLab): Promise<string> {
  const { objects, problems } = await loadFolder(state.config)
  const errors = problems.filter(({ severity }) => severity === 'error')
  if (errors.length > 0) {
    const lines = errors.map(({ file, line, field, message }) => `  ${file}:${line ?? 0} ${field} ${message}`)
    throw new LabError('bad-manifest', `${state.config} cannot be used:\n${lines.join('\n')}`)
  }
  const options = { trustDomain: 'cluster.local', clusterId: 'Kubernetes', dryRunPolicies: true }
  const { policies, workloads } = translate(objects, options)
  return picture({
    policies: policies.toSorted((a, b) => (policyName(a) < policyName(b) ? -1 : 1)).map(dumpPolicy),
    workloads: workloads.map(({ uid, authorizationPolicies }) => ({ uid, authorizationPolicies })),
  })
}

async function policiesOfProxy(lab: MeshLab, place: string): Promise<string> {
  const { body } = await lab.admin(place, '/config_dump')
  return picture(JSON.parse(body) as MeshPicture)
}

interface MeshPicture {
  readonly policies: readonly unknown[]
  readonly workloads: readonly { readonly uid: string; readonly authorizationPolicies?: readonly string[] }[]
}

/** Text that is equal exactly where the enforced policies are. */
function picture({ policies, workloads }: MeshPicture): string {
  const attached = workloads
    .map(({ uid, authorizationPolicies }) => `${uid}: ${(authorizationPolicies ?? []).toSorted().join(' ')}`)
    .toSorted()
  return JSON.stringify({ policies, attached })
}
