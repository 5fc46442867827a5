import { createServer } from 'node:net'
import type { Test } from 'tap'
import {
  ALL_CHECKS,
  Application,
  type Check,
  identityOf,
  type Outcome,
  runChecks,
  type Target,
} from '../../src/conformance/index.ts'
import { loadCa } from '../../src/identity/index.ts'
import { connectIn } from '../../src/lab/http-probe.ts'
import { type MeshLab, startLab } from '../../src/lab/mesh-lab.ts'
import { namespaceOf } from '../../src/lab/topology.ts'
import { listenTcp, type NetworkNamespace } from '../../src/linux/index.ts'

/** Addresses of `conformance-mesh/mesh.yaml`. */
export const CONFORMANCE_POD = {
  server: '10.244.2.10',
  sandwich: '10.244.2.20',
  envoy: '10.244.3.20',
} as const

/** The kit's place in a lab: its client in a pod that is not captured, its applications behind the targets. */
export class ConformanceLab {
  readonly mesh: MeshLab
  readonly #test: Test

  constructor(test: Test, mesh: MeshLab) {
    this.#test = test
    this.mesh = mesh
  }

  namespace(pod: string): NetworkNamespace {
    return this.mesh.network.namespace(namespaceOf(this.mesh.topology, pod))
  }

  /** Our own proxy of node-b: every check, and at the end it has drained. */
  async runOurs(patience: number): Promise<Outcome[]> {
    const isProxy = ({ name }: Check): boolean => name.startsWith('proxy-protocol/')
    // PROXY is spoken for one pod, everything else for another.
    const sandwich = await this.target('app/sandwich', CONFORMANCE_POD.sandwich, '127.0.0.1', {
      proxyAuthority: `${CONFORMANCE_POD.sandwich}:8080`,
    })
    const proxied = await runChecks(ALL_CHECKS.filter(isProxy), sandwich)
    const drain = async (): Promise<void> => this.mesh.component('ztunnel@node-b').signal('SIGTERM')
    const serverIdentity = 'spiffe://cluster.local/ns/app/sa/server'
    const extra = { drain, serverIdentity, patience }
    const target = await this.target('app/server', CONFORMANCE_POD.server, CONFORMANCE_POD.server, extra)
    const others = await runChecks(
      ALL_CHECKS.filter((check) => !isProxy(check)),
      target,
    )
    const all = [...proxied, ...others]
    return ALL_CHECKS.flatMap(({ name }) => all.find(({ check }) => check.name === name) ?? [])
  }

  /** A target on 15008 of a pod, and the kit's application in that pod, on port 9000 of `appAddress`. */
  async target(pod: string, host: string, appAddress: string, extra: Partial<Target>): Promise<Target> {
    const server = createServer({ allowHalfOpen: true })
    server.listen({ fd: this.namespace(pod).run(() => listenTcp({ address: appAddress, port: 9000 })).fd })
    const application = new Application(server)
    this.#test.teardown(() => application.close())
    const ca = await loadCa(this.mesh.state.certs)
    const id = { trustDomain: 'cluster.local', namespace: 'kit', serviceAccount: 'client' }
    return {
      host,
      port: 15_008,
      dial: () => connectIn(this.namespace('kit/client'), host, 15_008),
      identity: await identityOf(undefined, ca, id),
      authority: `${host}:9000`,
      application,
      deniedAuthority: `${host}:9001`,
      deadAuthority: `${host}:9002`,
      patience: 15,
      ...extra,
    }
  }
}

/** Starts the lab; it ends with the test. */
export async function startConformanceLab(t: Test): Promise<ConformanceLab> {
  const mesh = await startLab({ manifests: new URL('./conformance-mesh', import.meta.url).pathname })
  t.teardown(() => mesh.close())
  return new ConformanceLab(t, mesh)
}
