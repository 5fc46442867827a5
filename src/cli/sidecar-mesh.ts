import type { MeshStore, Workload } from '../mesh/index.ts'

/** A mesh as the sidecar of one workload has to know it. */
export interface SidecarMesh {
  readonly mesh: MeshStore
  readonly workload: Workload
  /** Of the application, beside those that a service has. */
  readonly ports: readonly number[]
}

/** Where a mesh is asked for: a config server, or any other server of Istio's xDS. */
export interface ControlPlane {
  /** `https://HOST:PORT`. */
  readonly address: string
  readonly rootCertFile: string
  /** Of the workload itself. */
  readonly tokenFile: string
  readonly clusterId: string
}

/** The mesh that a config server would make of a folder. Throws when there are errors in it, and SidecarError `unknown-workload`. */
export async function meshOfFolder(
  id: string,
  folder: string,
  { trustDomain, clusterId }: { readonly trustDomain: string | undefined; readonly clusterId: string },
): Promise<SidecarMesh> {
  const { validateFolder } = await import('../xds/kubernetes/index.ts')
  const { MeshStore } = await import('../mesh/index.ts')
  const { SidecarError } = await import('../sidecar/index.ts')
  const options = { trustDomain, clusterId, dryRunPolicies: false }
  const { snapshot, mesh, problems } = await validateFolder(folder, options)
  const errors = problems.filter(({ severity }) => severity === 'error')
  // A policy in a file that cannot be read would be missing from the bootstrap.
  if (errors.length > 0) {
    const [first] = errors
    const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : ''
    throw new Error(
      `${folder} has errors, the first one in ${first?.file}: ${first?.message}${more}; see ztunnel config validate`,
    )
  }
  const store = new MeshStore()
  for (const service of mesh.services) store.upsertService(service)
  for (const policy of mesh.policies) store.upsertPolicy(policy)
  for (const each of mesh.workloads) store.upsertWorkload(each)
  const workload = findWorkload(store, id)
  if (workload === undefined)
    throw new SidecarError('unknown-workload', `no workload ${id} in ${folder}: see ztunnel config show`)
  const ports = (snapshot.objects.pods.get(id)?.spec.ports ?? [])
    .filter(({ protocol }) => protocol === 'TCP')
    .map(({ containerPort }) => containerPort)
  return { mesh: store, workload, ports }
}

/**
 * The mesh that a control plane serves, Docker's containers among it. Waits
 * until the workload is there: who starts with it may be the sooner. Rejects
 * with SidecarError `unknown-workload` when it is not within half a minute,
 * and as `controlPlaneTransport` does.
 */
export async function meshOfControlPlane(id: string, controlPlane: ControlPlane): Promise<SidecarMesh> {
  const { controlPlaneTransport, tokenFile } = await import('../identity/index.ts')
  const { MeshStore } = await import('../mesh/index.ts')
  const { AddressHandler, AdsClient, AuthorizationHandler, MAX_MESSAGE_BYTES } = await import(
    '../xds/index.ts'
  )
  const { SidecarError } = await import('../sidecar/index.ts')
  const { address, rootCertFile, clusterId } = controlPlane
  const store = new MeshStore()
  const types = [new AddressHandler(store), new AuthorizationHandler(store)]
  const transport = controlPlaneTransport({ address, rootCertFile, readMaxBytes: MAX_MESSAGE_BYTES })
  const [namespace = '', name = ''] = id.split('/')
  const client = new AdsClient({
    transport,
    credentials: { clusterId, token: tokenFile(controlPlane.tokenFile) },
    // The address is not known yet, and nobody looks at it.
    node: { id: `sidecar~127.0.0.1~${name}.${namespace}~${namespace}.svc.cluster.local` },
    types,
  })
  let synced = false
  void Promise.all(types.map(({ typeUrl }) => client.synced(typeUrl))).then(
    () => {
      synced = true
    },
    () => {},
  )
  client.start()
  try {
    for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; await delay(LOOK_EVERY_MS)) {
      const workload = synced ? findWorkload(store, id) : undefined
      if (workload !== undefined) return { mesh: store, workload, ports: [] }
    }
    const { state } = client.status()
    if (synced) throw new SidecarError('unknown-workload', `${address} knows no workload ${id}`)
    throw new Error(
      `${address} has not sent the mesh${state.kind === 'waiting' ? `: ${state.lastError}` : ''}`,
    )
  } finally {
    await client.stop()
    transport.close()
  }
}

/** For the mesh to come, and the workload with it: a container may just be starting. Milliseconds. */
const PATIENCE_MS = 30_000
/** Between two looks at the mesh that has come so far, milliseconds. */
const LOOK_EVERY_MS = 50

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

function findWorkload(mesh: MeshStore, id: string): Workload | undefined {
  return [...mesh.workloads()].find(({ namespace, name }) => `${namespace}/${name}` === id)
}
