import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CertificateAuthority, loadCa, SvidManager, writeSvidFiles } from '../identity/index.ts'
import { MeshStore } from '../mesh/index.ts'
import { ADMIN_PORT, type Json, sdsResources, type TlsFiles, workloadBootstrap } from '../sidecar/index.ts'
import { validateFolder } from '../xds/kubernetes/index.ts'
import { parseDurationMs } from '../ztunnel/config/values.ts'
import { Component } from './component.ts'
import { parseEnvoyRecord, withAccessRecords } from './envoy-record.ts'
import { LabError } from './errors.ts'
import { httpGetIn } from './http-probe.ts'
import { type LabSetting, PACKET_MARK, type Started, sidecarName, untilAccepting } from './processes.ts'
import type { LabPod } from './topology.ts'

/**
 * Envoys in the seats of the lab's sidecars. Each has a certificate of the
 * lab's CA, which is kept fresh, and what `ztunnel sidecar bootstrap` makes of
 * the lab's YAML when it starts: it does not follow later changes.
 */
export class EnvoySidecars implements Disposable {
  readonly #setting: LabSetting
  readonly #program: string
  readonly #svids: SvidManager
  /** Configuration files by pod. */
  readonly #bootstraps = new Map<string, string>()

  constructor(setting: LabSetting, program: string) {
    this.#setting = setting
    this.#program = program
    const { certs } = setting.state
    const seconds = (parseDurationMs(setting.svidTtl) ?? 0) / 1000
    this.#svids = new SvidManager({
      fetch: async (id) => {
        const svid = await new CertificateAuthority(await loadCa(certs)).issueSvid(id, seconds)
        await writeSvidFiles(this.#credentials(id.namespace, id.serviceAccount), svid)
        return svid
      },
    })
  }

  /** Writes certificates and configurations. Rejects as `workloadBootstrap` does, and with IdentityError. */
  async prepare(pods: readonly LabPod[]): Promise<void> {
    const { config, logs } = this.#setting.state
    const { mesh } = await validateFolder(config, TRANSLATION)
    const store = new MeshStore()
    for (const service of mesh.services) store.upsertService(service)
    for (const policy of mesh.policies) store.upsertPolicy(policy)
    for (const workload of mesh.workloads) store.upsertWorkload(workload)
    for (const pod of pods) {
      const workload = mesh.workloads.find(
        ({ namespace, name }) => namespace === pod.namespace && name === pod.name,
      )
      if (workload === undefined)
        throw new LabError('bad-manifest', `pod ${pod.id} is no workload: its sidecar has nothing to do`)
      const bootstrap = workloadBootstrap(store, workload, {
        tls: await this.#issue(pod),
        ports: Object.values(pod.ports),
        packetMark: PACKET_MARK,
      })
      const file = join(logs, `${sidecarName(pod).replaceAll('/', '.')}.envoy.json`)
      await writeFile(file, `${JSON.stringify(withAccessRecords(bootstrap), undefined, 2)}\n`)
      this.#bootstraps.set(pod.id, file)
    }
  }

  /** Starts one that is prepared; ready when it is live with all of its listeners. */
  start(pod: LabPod): Started {
    const { network, state, journal, topology } = this.#setting
    const name = sidecarName(pod)
    const workloadAt = (address: string): string | undefined =>
      topology.pods.find(({ addresses }) => addresses.includes(address))?.id
    const component = Component.start({
      name,
      program: this.#program,
      namespace: network.namespace(pod.netns),
      argv: ['-c', this.#bootstraps.get(pod.id) ?? '', ...FLAGS],
      logFile: join(state.logs, `${name.replaceAll('/', '.')}.log`),
      onLine: (line) => {
        const record = parseEnvoyRecord(name, line, workloadAt)
        if (record !== undefined) journal.add(record)
      },
    })
    const at = { port: ADMIN_PORT, path: '/ready' }
    return { component, ready: untilAccepting(component, this.#setting, pod.netns, at) }
  }

  /** What a running one says of itself: `Envoy 1.40.0`. */
  async version({ netns }: LabPod): Promise<string> {
    const { body } = await httpGetIn(this.#setting.network.namespace(netns), ADMIN_PORT, '/server_info')
    const { version } = JSON.parse(body) as { readonly version: string }
    // Commit, number, state of the tree, kind of build, TLS library.
    return `Envoy ${version.split('/')[1] ?? version}`
  }

  /** Renews no more certificates. */
  [Symbol.dispose](): void {
    this.#svids.close()
  }

  async #issue({ namespace, serviceAccount }: LabPod): Promise<TlsFiles> {
    const folder = this.#credentials(namespace, serviceAccount)
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await this.#svids.get({ trustDomain: TRANSLATION.trustDomain, namespace, serviceAccount })
    const files = {
      chain: join(folder, 'cert-chain.pem'),
      key: join(folder, 'key.pem'),
      roots: join(folder, 'root-cert.pem'),
    }
    const sds = `${folder}.sds.json`
    const resources: Json = sdsResources(files, folder)
    await writeFile(sds, JSON.stringify(resources))
    return { ...files, sds }
  }

  #credentials(namespace: string, serviceAccount: string): string {
    return join(this.#setting.state.certs, 'envoy', `${namespace}.${serviceAccount}`)
  }
}

const TRANSLATION = { trustDomain: 'cluster.local', clusterId: 'Kubernetes', dryRunPolicies: false }
/** The access log is waited for; its own interval is ten seconds. */
const FLAGS = [
  '--concurrency',
  '1',
  '--disable-hot-restart',
  '-l',
  'warning',
  '--file-flush-interval-msec',
  '50',
]
