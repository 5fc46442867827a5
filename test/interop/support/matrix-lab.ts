import { once } from 'node:events'
import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import type { Test } from 'tap'
import type { AccessRecord } from '../../../src/lab/access-record.ts'
import { parseEnvoyRecord, withAccessRecords } from '../../../src/lab/envoy-record.ts'
import { connectIn, type ProbeResponse } from '../../../src/lab/http-probe.ts'
import { applyRedirection, type NetworkNamespace } from '../../../src/linux/index.ts'
import { type Json, tunnelledCluster, typed } from '../../../src/sidecar/index.ts'
import { until } from '../../support/until.ts'
import type { EnvoyProcess } from './envoy-process.ts'
import { FORBIDDEN_PATH, waypointBootstrap } from './envoy-waypoint-config.ts'
import { type InteropLab, startInteropLab } from './interop-lab.ts'
import type { Cell, Maker, Observation } from './matrix-table.ts'
import type { TestApp } from './sockets.ts'

/** Both makers' clients and servers, and a waypoint, as one running mesh. */
export class MatrixLab {
  readonly #lab: InteropLab
  readonly #envoys: readonly LoggingEnvoy[]
  readonly #forbidden: readonly TestApp[]

  private constructor(lab: InteropLab, envoys: readonly LoggingEnvoy[]) {
    this.#lab = lab
    this.#envoys = envoys
    this.#forbidden = MAKERS.map((maker) => lab.app(podOf(maker, 'server'), PORTS.deny.pod))
    for (const app of this.#forbidden) void answerAll(app)
  }

  /** Starts it; it ends with the test. */
  static async start(t: Test): Promise<MatrixLab> {
    const lab = await startInteropLab(t, { manifests: MANIFESTS })
    const [client, server] = [podOf('Envoy', 'client'), podOf('Envoy', 'server')]
    // Rules before processes, as for any pod.
    for (const pod of [client, server]) await applyRedirection(lab.namespace(pod), {})
    const envoys = await Promise.all([
      startEnvoy(lab, client, async () => askingWaypoint(lab, await sidecar(lab, client))),
      startEnvoy(lab, server, () => sidecar(lab, server)),
      startEnvoy(lab, WAYPOINT, () => waypoint(lab)),
    ])
    return new MatrixLab(lab, envoys)
  }

  /** Connections that reached an application which denied requests alone are meant for. */
  get leaks(): number {
    return this.#forbidden.reduce((sum, { connections }) => sum + connections, 0)
  }

  /**
   * The request of a cell, and what each proxy on its way logs. Not two at a
   * time: a line that is logged from here on is taken to be about this one.
   */
  async observe(cell: Cell): Promise<Observation> {
    const { client, server, via, verdict } = cell
    const [vip, { service, pod }] = [VIP[server][via], PORTS[verdict]]
    const path = `${verdict === 'allow' ? '/' : `${FORBIDDEN_PATH}/`}${client}-${server}-${via}`
    const [asked, target] = [`${vip}:${service}`, `${this.#lab.address(podOf(server, 'server'))}:${pod}`]
    this.#readLogs()
    const before = this.#lab.mesh.journal.length
    const from = this.#lab.namespace(podOf(client, 'client'))
    const answer = await get(from, vip, service, path).catch((error: Error) => error)
    const direct = via === 'direct'
    const find = (proxy: string, direction: 'inbound' | 'outbound', authority: string) =>
      this.#only(before, proxy, direction, authority)
    return {
      path,
      answer,
      client: await find(proxyOf(client, 'client'), 'outbound', direct ? target : asked),
      waypoint: direct ? undefined : await find(WAYPOINT, 'inbound', asked),
      waypointHttp: direct ? undefined : await this.#waypointHttp(path),
      server:
        direct || verdict === 'allow' ? await find(proxyOf(server, 'server'), 'inbound', target) : undefined,
      hops: new Set(this.#lab.mesh.journal.since(before).map(({ proxy }) => proxy)),
    }
  }

  /** What the application of a denied request says by the waypoint, asked for a path that nobody forbids. */
  async otherPath(client: Maker, server: Maker): Promise<string> {
    const from = this.#lab.namespace(podOf(client, 'client'))
    return (await get(from, VIP[server].waypoint, PORTS.deny.service, '/other')).body
  }

  /** Waits for the record of one connection; rejects when there are several. */
  async #only(
    since: number,
    proxy: string,
    direction: AccessRecord['direction'],
    authority: string,
  ): Promise<AccessRecord> {
    const { journal } = this.#lab.mesh
    const find = (): readonly AccessRecord[] => {
      this.#readLogs()
      return journal
        .since(since)
        .filter((record) => record.proxy === proxy)
        .filter((record) => record.direction === direction && record.hboneAddress === authority)
    }
    await until(() => find().length > 0, `${proxy} logs ${direction} ${authority}`)
    const [record, ...more] = find()
    if (record === undefined || more.length > 0) throw new Error(`${proxy} logs ${authority} more than once`)
    return record
  }

  /** What the waypoint says of the request within the tunnel, which only it sees. */
  #waypointHttp(path: string): Promise<string> {
    const found = this.#envoys.find(({ name }) => name === WAYPOINT)
    if (found === undefined) throw new Error('no waypoint is running')
    return found.envoy.line(`path=${path} `)
  }

  /** Puts what the Envoys logged beside what our proxies did. */
  #readLogs(): void {
    const { journal, topology } = this.#lab.mesh
    const workloadAt = (address: string): string | undefined =>
      topology.pods.find(({ addresses }) => addresses.includes(address))?.id
    for (const one of this.#envoys) {
      const lines = one.envoy.lines.slice(one.read)
      one.read += lines.length
      for (const line of lines) {
        const record = parseEnvoyRecord(one.name, line, workloadAt)
        if (record !== undefined) journal.add(record)
      }
    }
  }
}

/** Namespace and name of a maker's client or server. */
export function podOf(maker: Maker, seat: 'client' | 'server'): string {
  return `${maker === 'ours' ? 'app' : 'envoy'}/${seat}`
}

/** As the logs name it. */
export function proxyOf(maker: Maker, seat: 'client' | 'server'): string {
  if (maker === 'Envoy') return podOf(maker, seat)
  return seat === 'client' ? 'ztunnel@node-a' : 'ztunnel@node-b'
}

/** What the application says that denied requests are meant for. */
export const PAST_THE_RULE = 'reached'

/** `namespace/name` of the waypoint, also its name in logs. */
export const WAYPOINT = 'envoy/waypoint'

interface LoggingEnvoy {
  readonly name: string
  readonly envoy: EnvoyProcess
  /** How many of its lines are in the journal. */
  read: number
}

/**
 * One GET whose connection the client ends. With `connection: close` the
 * waypoint's Envoy would reset the tunnel right behind its answer, which an
 * Envoy at the client then drops.
 */
async function get(
  namespace: NetworkNamespace,
  host: string,
  port: number,
  path: string,
): Promise<ProbeResponse> {
  const socket = connectIn(namespace, host, port)
  const headers = { connection: 'keep-alive' }
  const call = request({ host, port, path, headers, createConnection: () => socket, timeout: PATIENCE_MS })
  call.on('timeout', () => call.destroy(new Error(`no answer within ${PATIENCE_MS} ms`)))
  call.end()
  const [response] = await once(call, 'response')
  const body = await text(response)
  socket.end()
  return { status: response.statusCode, body }
}

/** Never resolves: the next connection may be the one that should not come. */
async function answerAll(app: TestApp): Promise<void> {
  const head = `HTTP/1.1 200 OK\r\ncontent-length: ${PAST_THE_RULE.length}\r\n\r\n`
  for (;;) (await app.accept()).end(`${head}${PAST_THE_RULE}`)
}

async function startEnvoy(lab: InteropLab, name: string, config: () => Promise<Json>): Promise<LoggingEnvoy> {
  return { name, envoy: await lab.envoy(name, withAccessRecords(await config())), read: 0 }
}

async function sidecar(lab: InteropLab, pod: string): Promise<Json> {
  return JSON.parse(await lab.bootstrap(pod)) as Json
}

/**
 * A sidecar goes past waypoints, in Istio as here. This one is told to ask
 * them as an ingress gateway is by `istio.io/ingress-use-waypoint`: the
 * service's address is the authority (wire/istio 3.3).
 */
function askingWaypoint(lab: InteropLab, config: Json): Json {
  const proxy = `${lab.address(WAYPOINT)}:15008`
  const behind = MAKERS.flatMap((maker) =>
    Object.values(PORTS).map(({ service }) => ({
      name: `server-behind.${maker === 'ours' ? 'app' : 'envoy'}.svc.cluster.local_${service}`,
      target: `${VIP[maker].waypoint}:${service}`,
    })),
  )
  return withClusters(config, (cluster) => {
    const service = behind.find(({ name }) => name === cluster['name'])
    return service === undefined
      ? cluster
      : tunnelledCluster(service.name, [{ target: service.target, waypoint: proxy }])
  })
}

async function waypoint(lab: InteropLab): Promise<Json> {
  const services = MAKERS.flatMap((maker) =>
    Object.values(PORTS).map(({ service, pod }) => ({
      vip: VIP[maker].waypoint,
      port: service,
      target: `${lab.address(podOf(maker, 'server'))}:${pod}`,
      http: true,
    })),
  )
  const tls = await lab.credentials({ serviceAccount: 'waypoint' })
  const config = waypointBootstrap({ address: lab.address(WAYPOINT), tls, services })
  return withClusters(config, (cluster) =>
    String(cluster['name']).startsWith('vip_') ? { ...cluster, ...ONE_REQUEST } : cluster,
  )
}

function withClusters(config: Json, change: (cluster: Json) => Json): Json {
  const resources = config['static_resources'] as { readonly clusters: readonly Json[] }
  const clusters = resources.clusters.map(change)
  return { ...config, static_resources: { ...resources, clusters } }
}

const MAKERS: readonly Maker[] = ['ours', 'Envoy']
const PATIENCE_MS = 15_000
const MANIFESTS = new URL('./matrix-mesh', import.meta.url).pathname
/** What is dialled, by whose server it is and by how it is reached; `matrix-mesh/mesh.yaml`. */
const VIP = {
  ours: { direct: '10.96.0.10', waypoint: '10.96.0.11' },
  Envoy: { direct: '10.96.0.20', waypoint: '10.96.0.21' },
} as const
/** Of each service and of the pod behind it. */
const PORTS = { allow: { service: 80, pod: 8080 }, deny: { service: 81, pod: 8081 } } as const
/** A tunnel of its own for each request, so that the server logs each. */
const ONE_REQUEST: Json = {
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': typed('upstreams.http.v3.HttpProtocolOptions', {
      common_http_protocol_options: { max_requests_per_connection: 1 },
      explicit_http_config: { http_protocol_options: {} },
    }),
  },
}
