import { CaClient, controlPlaneTransport, SvidManager, tokenFile } from '../identity/index.ts'
import type { MeshStore } from '../mesh/index.ts'
import { type FieldsFirstLogger, fieldsFirst, type Logger, type XdsMetrics } from '../telemetry/index.ts'
import {
  ADDRESS_TYPE,
  AddressHandler,
  AdsClient,
  AuthorizationHandler,
  type LocalMesh,
  MAX_MESSAGE_BYTES,
  type ResourceHandler,
} from '../xds/index.ts'
import type { Config, ControlPlaneConfig } from './config/config.ts'
import { errorText } from './errors.ts'
import type { Demand } from './proxy/on-demand.ts'

/** The proxy's two clients of the control plane. */
export interface ControlPlane {
  readonly svids: SvidManager
  /** Resolves when the whole mesh has been received once; at once without an xDS server, a local mesh being there by then. */
  readonly synced: Promise<unknown>
  /** With XDS_ON_DEMAND: the way to what the mesh does not hold yet. */
  readonly demand: Demand | undefined
  start(): void
  close(): Promise<void>
}

/**
 * Certificates from the CA, and the mesh into `mesh`: from the xDS server, from a local file, or from both.
 * `types` is what is asked of the xDS server; by default workloads, services and L4 policies.
 *
 * @throws XdsError `local-state`.
 */
export async function connectControlPlane(
  config: Config,
  mesh: MeshStore,
  logger: Logger,
  metrics: XdsMetrics,
  types: readonly ResourceHandler[] = meshTypes(config, mesh),
): Promise<ControlPlane> {
  const caLog = fieldsFirst(logger.scope('identity'))
  const ca = new CaClient({
    ...endpoint(config.ca),
    ...credentials(config, config.ca),
    // A node's proxy asks in the name of its pods; a workload's own proxy has the workload's token.
    impersonate: config.proxyMode === 'shared',
    ttlSeconds: config.secretTtlSeconds,
    log: caLog,
  })
  const svids = new SvidManager({ fetch: (id, signal) => ca.fetch(id, signal), log: caLog })
  const local = await followLocalMesh(config, mesh, logger)
  const ads = config.xds === undefined ? undefined : connectXds(config, config.xds, types, logger, metrics)
  return {
    svids,
    synced: ads === undefined ? Promise.resolve() : ads.synced,
    demand: ads?.demand,
    start: () => ads?.start(),
    async close() {
      svids.close()
      ca.close()
      await Promise.all([ads?.stop(), local?.close()])
    },
  }
}

/** In force when this returns: a file is as good a reason to be ready as a control plane that answered. */
async function followLocalMesh(
  config: Config,
  mesh: MeshStore,
  logger: Logger,
): Promise<LocalMesh | undefined> {
  const source = config.localMesh
  if (source === undefined) return undefined
  const log = fieldsFirst(logger.scope('xds'))
  // Loaded here: it brings a YAML parser and a schema library, 20 MB, which a control plane's proxy has no use for.
  const { LocalMesh } = await import('../xds/local/index.ts')
  return LocalMesh.load({ source, apply: (changes) => mesh.apply(changes), log })
}

function connectXds(
  config: Config,
  xds: ControlPlaneConfig,
  types: readonly ResourceHandler[],
  logger: Logger,
  metrics: XdsMetrics,
): { start(): void; synced: Promise<unknown>; demand: Demand | undefined; stop(): Promise<void> } {
  const log = fieldsFirst(logger.scope('xds'))
  const transport = controlPlaneTransport({ ...endpoint(xds), readMaxBytes: MAX_MESSAGE_BYTES, log })
  const client = new AdsClient({
    transport,
    credentials: credentials(config, xds),
    // A copy: protobuf's JSON type is mutable, the configuration is frozen.
    node: { id: config.xdsNode.id, metadata: JSON.parse(JSON.stringify(config.xdsNode.metadata)) },
    types,
    log,
    metrics,
  })
  return {
    start: () => client.start(),
    demand: config.xdsOnDemand ? demandOf(client, log) : undefined,
    synced: Promise.all(types.map(({ typeUrl }) => client.synced(typeUrl))),
    async stop() {
      await client.stop()
      transport.close()
    },
  }
}

/** What a node proxy asks for. */
function meshTypes(config: Config, mesh: MeshStore): readonly ResourceHandler[] {
  return [new AddressHandler(mesh, { onDemand: config.xdsOnDemand }), new AuthorizationHandler(mesh)]
}

/** A failure is no more than not knowing: the decision is made on what is there. */
function demandOf(client: AdsClient, log: FieldsFirstLogger): Demand {
  return async (name) => {
    try {
      await client.demand(ADDRESS_TYPE, name)
    } catch (error) {
      log.warn({ name, error: errorText(error) }, 'on-demand lookup failed')
    }
  }
}

function endpoint({ address, roots, alternativeHostname }: ControlPlaneConfig) {
  return { address, ...roots, ...(alternativeHostname === undefined ? {} : { alternativeHostname }) }
}

function credentials({ authToken, clusterId }: Config, { headers }: ControlPlaneConfig) {
  if (authToken === undefined) return { clusterId, headers }
  const token = authToken.kind === 'file' ? tokenFile(authToken.path) : () => authToken.token
  return { clusterId, headers, token }
}
