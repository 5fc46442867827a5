import { extension, type Json, typed } from '../sidecar/index.ts'
import type { AccessRecord } from './access-record.ts'
import { parseJson, text } from './log-line.ts'

/** Names the workload at an address, `namespace/name`; undefined for one that is none. */
export type WorkloadLookup = (address: string) => string | undefined

/**
 * A bootstrap of `ztunnel sidecar bootstrap` whose Envoy also writes a line of
 * JSON on standard output for each connection of its pod, for
 * {@link parseEnvoyRecord}. Nothing else of what it does changes.
 */
export function withAccessRecords(bootstrap: Json): Json {
  const { static_resources, ...rest } = bootstrap as unknown as Bootstrap
  const listeners = static_resources.listeners.map((listener) => {
    const fields = FIELDS.get(listener.name)
    if (fields === undefined) return listener
    const before = listener.name === OUTBOUND ? [rememberClient()] : []
    const logged = (chain: FilterChain): FilterChain => ({
      ...chain,
      filters: [...before, ...chain.filters.map((filter) => withLog(filter, fields))],
    })
    const { filter_chains, default_filter_chain: rest } = listener
    return {
      ...listener,
      filter_chains: filter_chains.map(logged),
      ...(rest === undefined ? {} : { default_filter_chain: logged(rest) }),
    }
  })
  return { ...rest, static_resources: { ...static_resources, listeners } }
}

/** Reads such a line as the record that our own proxy would have written. Undefined for any other line. */
export function parseEnvoyRecord(
  proxy: string,
  line: string,
  workloadAt: WorkloadLookup,
): AccessRecord | undefined {
  const fields = parseJson(line)
  const kind = fields?.[KIND]
  if (fields === undefined || (kind !== 'inbound' && kind !== 'outbound')) return undefined
  const host = text(fields, 'host')
  // The listener that opens tunnels tells of these, and knows more.
  if (kind === 'outbound' && host?.startsWith(INTERNAL_HOST) === true) return undefined
  const [source = '', destination = ''] = [text(fields, 'source'), text(fields, 'destination')]
  const hboneAddress = text(fields, 'authority')
  return {
    proxy,
    direction: kind,
    source,
    sourceWorkload: workloadAt(hostOf(source)),
    sourceIdentity: kind === 'inbound' ? text(fields, 'peer') : undefined,
    destination: kind === 'outbound' ? (host ?? destination) : destination,
    hboneAddress,
    destinationWorkload: workloadAt(hostOf(hboneAddress ?? destination)),
    destinationIdentity: kind === 'outbound' ? text(fields, 'peer') : undefined,
    // What the client sent goes on outwards, and arrives inwards.
    bytesSent: Number(fields[kind === 'outbound' ? 'from_client' : 'to_client'] ?? 0),
    bytesReceived: Number(fields[kind === 'outbound' ? 'to_client' : 'from_client'] ?? 0),
    duration: `${Number(fields['milliseconds'] ?? 0)}ms`,
    error: errorOf(fields),
    // Envoy names one only where it refuses.
    policy: DENIED_BY.exec(text(fields, 'details') ?? '')?.[1],
    traceId: text(fields, 'traceparent')?.split('-')[1],
  }
}

interface Bootstrap {
  readonly static_resources: { readonly listeners: readonly Listener[] }
}
interface Listener {
  readonly name: string
  readonly filter_chains: readonly FilterChain[]
  readonly default_filter_chain?: FilterChain
}
interface FilterChain {
  readonly filters: readonly Filter[]
}
interface Filter {
  readonly name: string
  readonly typed_config: Json
}

const LOGGING_FILTERS = ['envoy.filters.network.tcp_proxy', 'envoy.filters.network.http_connection_manager']

function withLog(filter: Filter, fields: Json): Filter {
  if (!LOGGING_FILTERS.includes(filter.name)) return filter
  const given = filter.typed_config['access_log']
  const json_format = { ...fields, ...COMMON }
  const log = extension('envoy.access_loggers.stdout', 'access_loggers.stream.v3.StdoutAccessLog', {
    log_format: { json_format },
  })
  const access_log = [...(Array.isArray(given) ? given : []), log]
  return { ...filter, typed_config: { ...filter.typed_config, access_log } }
}

/** A connection into another listener of the same Envoy has no address of its own: it is told the client's. */
function rememberClient(): Filter {
  const state = (object_key: string, inline_string: string): Json => ({
    object_key,
    factory_key: 'envoy.string',
    shared_with_upstream: 'ONCE',
    format_string: { text_format_source: { inline_string } },
  })
  const on_new_connection = [
    state(CLIENT, '%DOWNSTREAM_REMOTE_ADDRESS%'),
    state(DIALLED, '%DOWNSTREAM_LOCAL_ADDRESS%'),
  ]
  return {
    name: 'envoy.filters.network.set_filter_state',
    typed_config: typed('filters.network.set_filter_state.v3.Config', { on_new_connection }),
  }
}

/** Of Envoy's response flags, those of a connection that went well. */
const NO_FLAGS = new Set(['', '-'])
const RBAC_DENIED = 'rbac_access_denied'
/** The generator gives each alternative of a policy's rules a number. */
const DENIED_BY = /matched_policy\[([^[\]]+)\[\d+\]\]/

function errorOf(fields: Readonly<Record<string, unknown>>): string | undefined {
  const [code, details = ''] = [Number(fields['code'] ?? 0), text(fields, 'details')]
  const flags = text(fields, 'flags') ?? ''
  const failure = [details, text(fields, 'failure') ?? '', text(fields, 'end') ?? '']
    .filter((part) => part !== '' && part !== '-')
    .join(', ')
  if (failure.includes(RBAC_DENIED)) return `policy rejection by Envoy: ${failure}`
  if (code >= 400) return `${code} ${failure}`.trim()
  return NO_FLAGS.has(flags) ? undefined : `${flags} ${failure}`.trim()
}

/** Without the port and an IPv6 address's brackets. */
function hostOf(endpoint: string): string {
  return endpoint.slice(0, endpoint.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1')
}

const OUTBOUND = 'virtualOutbound'
const INTERNAL_HOST = 'envoy://'
/** Field that tells our lines from Envoy's own. */
const KIND = 'ztunnel_lab'
const [CLIENT, DIALLED] = ['ztunnel.lab.client', 'ztunnel.lab.dialled']

const COMMON: Json = {
  from_client: '%BYTES_RECEIVED%',
  to_client: '%BYTES_SENT%',
  milliseconds: '%DURATION%',
  flags: '%RESPONSE_FLAGS%',
  details: '%RESPONSE_CODE_DETAILS%',
  end: '%CONNECTION_TERMINATION_DETAILS%',
}

/** By listener: where a connection of the pod is known best. */
const FIELDS: ReadonlyMap<string, Json> = new Map<string, Json>([
  [
    'connect_terminate',
    {
      [KIND]: 'inbound',
      source: '%DOWNSTREAM_REMOTE_ADDRESS%',
      destination: '%DOWNSTREAM_LOCAL_ADDRESS%',
      authority: '%REQ(:AUTHORITY)%',
      peer: '%DOWNSTREAM_PEER_URI_SAN%',
      code: '%RESPONSE_CODE%',
      traceparent: '%REQ(TRACEPARENT)%',
    },
  ],
  [
    'virtualInbound',
    {
      [KIND]: 'inbound',
      source: '%DOWNSTREAM_REMOTE_ADDRESS%',
      destination: '%DOWNSTREAM_LOCAL_ADDRESS%',
      peer: '%DOWNSTREAM_PEER_URI_SAN%',
    },
  ],
  [
    OUTBOUND,
    {
      [KIND]: 'outbound',
      source: '%DOWNSTREAM_REMOTE_ADDRESS%',
      destination: '%DOWNSTREAM_LOCAL_ADDRESS%',
      host: '%UPSTREAM_HOST%',
      failure: '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
    },
  ],
  [
    'connect_originate',
    {
      [KIND]: 'outbound',
      source: `%FILTER_STATE(${CLIENT}:PLAIN)%`,
      destination: `%FILTER_STATE(${DIALLED}:PLAIN)%`,
      authority: '%DOWNSTREAM_LOCAL_ADDRESS%',
      host: '%UPSTREAM_HOST%',
      peer: '%UPSTREAM_PEER_URI_SAN%',
      failure: '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
    },
  ],
])
