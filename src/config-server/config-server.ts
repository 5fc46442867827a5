import { join } from 'node:path'
import type { ConnectRouter } from '@connectrpc/connect'
import { DockerError, DockerObjects } from '../docker/index.ts'
import {
  bearerToken,
  CertificateAuthority,
  caRoutes,
  type IdentityLog,
  loadOrCreateCa,
  silentLog,
  spiffeIdProblem,
  TokenIssuer,
  watchCa,
} from '../identity/index.ts'
import { DeltaServer, ResourceCache, type Source } from '../xds/index.ts'
import { FolderSource } from '../xds/kubernetes/index.ts'
import { caStatus } from './ca-status.ts'
import { ConfigServerError } from './errors.ts'
import { openGrpcListener } from './grpc-listener.ts'
import { IdentityGuard } from './identity-guard.ts'
import type { ListenAddress } from './listen.ts'
import { MeshPublisher } from './mesh-publisher.ts'
import { createConfigServerMetrics } from './metrics.ts'
import { serverNames } from './server-names.ts'
import { type ConfigServerStatus, openStatusListener } from './status-listener.ts'

export interface ConfigServerOptions {
  /** A folder of Kubernetes YAML, or several that are read as one. */
  readonly configDir: string | readonly string[]
  /** A Docker Engine, as `DOCKER_HOST`, whose containers are workloads too. Default: none. */
  readonly docker?: string | undefined
  /** CA files in the layout of Istio's `cacerts` and the token key; made if absent. */
  readonly certsDir: string
  /** For xDS and CA over TLS. */
  readonly listen: ListenAddress
  /** For health and status, plain HTTP. Default: none. */
  readonly statusListen?: ListenAddress
  /** More names for the server's certificate, besides istiod's, localhost and the host's. */
  readonly dnsNames?: readonly string[]
  readonly ipAddresses?: readonly string[]
  /** Default the MeshConfig's at the start, else `cluster.local`. */
  readonly trustDomain?: string | undefined
  /** Default `Kubernetes`, istiod's. */
  readonly clusterId?: string
  /** Lifetime of certificates whose requester does not say. Default 86,400. */
  readonly defaultSvidTtlSeconds?: number
  /** Send policies marked `istio.io/dry-run`. Default false, as istiod. */
  readonly dryRunPolicies?: boolean
  readonly log?: IdentityLog
}

/** A running config server. */
export interface ConfigServer {
  /** As bound. */
  readonly address: ListenAddress
  readonly statusAddress: ListenAddress | undefined
  /** Issues the tokens that its clients must present. */
  readonly issuer: TokenIssuer
  /** Resolves once it serves: at once, unless the folder had errors from the start. */
  readonly ready: Promise<void>
  status(): ConfigServerStatus
  close(): Promise<void>
}

/** Reads the folder, then serves it: xDS and CA behind tokens on one TLS port. */
export async function startConfigServer(options: ConfigServerOptions): Promise<ConfigServer> {
  const { clusterId = 'Kubernetes', log = silentLog } = options
  if (options.trustDomain !== undefined) checkTrustDomain(options.trustDomain)
  const guard = new IdentityGuard(clusterId)
  const cache = new ResourceCache()
  const publisher = new MeshPublisher({ cache, guard, log })
  const source = await startSource({ ...options, clusterId, log }, publisher)
  const closing: Closing = [() => source.close()]
  try {
    return await serve(options, { source, guard, cache, log }, closing)
  } catch (error) {
    await closeAll(closing)
    throw error
  }
}

/** The mesh that is served, and who may have certificates of it. */
interface Served {
  readonly source: FolderSource
  readonly guard: IdentityGuard
  readonly cache: ResourceCache
  readonly log: IdentityLog
}

/** What is to be ended, in order. */
type Closing = (() => void | Promise<void>)[]

async function serve(
  options: ConfigServerOptions,
  { source, guard, cache, log }: Served,
  closing: Closing,
): Promise<ConfigServer> {
  const { certsDir, defaultSvidTtlSeconds, statusListen } = options
  const { trustDomain } = source
  const material = await loadOrCreateCa(certsDir, { trustDomain })
  for (const warning of material.warnings) log.warn({}, warning)
  const ca = new CertificateAuthority(material)
  const issuer = await TokenIssuer.loadOrCreate(join(certsDir, 'token-key.pem'), { trustDomain })
  const authenticate = async (headers: Headers) => issuer.verify(bearerToken(headers))
  const metrics = createConfigServerMetrics({ proxies: () => ads.status() })
  const ads: DeltaServer = new DeltaServer({ cache, authenticate, log, metrics: metrics.xds })
  const caService = caRoutes({
    ca,
    authenticate,
    authorizeImpersonation: (caller, requested) => guard.refusal(caller, requested),
    ...(defaultSvidTtlSeconds === undefined ? {} : { defaultTtlSeconds: defaultSvidTtlSeconds }),
    log,
  })
  const routes = (router: ConnectRouter) => {
    ads.routes(router)
    caService(router)
  }
  const caWatch = watchCa(certsDir, ca, { log })
  closing.unshift(() => caWatch.close())
  const status = () => ({ ...statusOf(source, cache, ads), ca: caStatus(ca, caWatch.problem) })
  const names = serverNames(options.listen.host, options)
  const listener = await openGrpcListener({ ca, names, routes, authenticate, listen: options.listen, log })
  closing.unshift(() => listener.close())
  const statusListener =
    statusListen && (await openStatusListener(statusListen, { status, metrics: metrics.exposition }))
  if (statusListener !== undefined) closing.unshift(() => statusListener.close())
  const statusAddress = statusListener?.address
  const close = () => closeAll(closing)
  return { address: listener.address, statusAddress, issuer, ready: whenReady(cache), status, close }
}

/** Otherwise everything would start, and then each certificate be refused. */
function checkTrustDomain(trustDomain: string): void {
  const problem = spiffeIdProblem({ trustDomain, namespace: 'any', serviceAccount: 'any' })
  if (problem !== undefined) throw new ConfigServerError('settings-invalid', problem)
}

function statusOf(source: Source, cache: ResourceCache, ads: DeltaServer): Omit<ConfigServerStatus, 'ca'> {
  const counts = cache.typeUrls().map((typeUrl) => [typeUrl, cache.table(typeUrl)?.resources.size ?? 0])
  return {
    ready: cache.ready,
    source: source.status(),
    resources: Object.fromEntries(counts),
    proxies: ads.status(),
  }
}

async function startSource(
  options: ConfigServerOptions & { clusterId: string; log: IdentityLog },
  publisher: MeshPublisher,
): Promise<FolderSource> {
  const { clusterId, trustDomain, log } = options
  const directories = [options.configDir].flat()
  const dryRunPolicies = options.dryRunPolicies ?? false
  const provider = options.docker === undefined ? undefined : dockerObjects(options.docker, log)
  const source = new FolderSource({ directories, provider, clusterId, trustDomain, dryRunPolicies, log })
  try {
    await source.start((mesh) => publisher.publish(mesh))
  } catch (cause) {
    await source.close()
    if (cause instanceof DockerError)
      throw new ConfigServerError('docker-unreachable', cause.message, { cause })
    const reason = cause instanceof Error ? cause.message : String(cause)
    const message = `cannot read the folder ${directories.join(', ')}: ${reason}`
    throw new ConfigServerError('config-unreadable', message, { cause })
  }
  await publisher.idle()
  return source
}

function dockerObjects(endpoint: string, log: IdentityLog): DockerObjects {
  return new DockerObjects({
    endpoint,
    log: {
      info: (message, fields = {}) => log.info(fields, message),
      warn: (message, fields = {}) => log.warn(fields, message),
    },
  })
}

function whenReady(cache: ResourceCache): Promise<void> {
  if (cache.ready) return Promise.resolve()
  return new Promise((resolve) => {
    const unsubscribe = cache.subscribe(() => {
      unsubscribe()
      resolve()
    })
  })
}

async function closeAll(closing: Closing): Promise<void> {
  for (const close of closing) await close()
}
