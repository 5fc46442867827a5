import { createRequire } from 'node:module'
import type * as Yaml from 'yaml'
import type * as Zod from 'zod'
import type { JsonValue } from './model.ts'
import { configurationError, type FileSystemPort, type Values } from './values.ts'

/** The part of Istio's ProxyConfig that a ztunnel reads (wire/ztunnel 2.6). */
export interface ProxyConfig {
  readonly discoveryAddress: string | undefined
  readonly proxyAdminPort: number | undefined
  readonly statsPort: number | undefined
  /** Worker threads; 0 for all cores. */
  readonly concurrency: number | undefined
  /** proxyMetadata and then ISTIO_META_*, without that prefix. */
  readonly metadata: Readonly<Record<string, string>>
}

/** Where the mesh configuration is mounted. */
const MESH_CONFIG_PATH = './etc/istio/config/mesh'

const META_PREFIX = 'ISTIO_META_'
const JSON_META_PREFIX = 'ISTIO_METAJSON_'

/** Merges the mounted mesh configuration, PROXY_CONFIG and ISTIO_META_*, the later ones first in rank. */
export function loadProxyConfig(values: Values, files: FileSystemPort): ProxyConfig {
  const mounted = files.exists(MESH_CONFIG_PATH)
    ? parsed('mesh', files.readText(MESH_CONFIG_PATH), `the mesh configuration ${MESH_CONFIG_PATH}`)
        ?.defaultConfig
    : undefined
  const own = parsed('proxy', values.text('PROXY_CONFIG', ''), 'env var PROXY_CONFIG')
  return {
    discoveryAddress: own?.discoveryAddress ?? mounted?.discoveryAddress ?? undefined,
    proxyAdminPort: own?.proxyAdminPort ?? mounted?.proxyAdminPort ?? undefined,
    statsPort: own?.statsPort ?? mounted?.statsPort ?? undefined,
    concurrency: own?.concurrency ?? mounted?.concurrency ?? undefined,
    metadata: {
      ...withoutPrefix({ ...mounted?.proxyMetadata, ...own?.proxyMetadata }),
      ...Object.fromEntries(values.prefixed(META_PREFIX)),
    },
  }
}

/** ISTIO_METAJSON_*: metadata with structure. One that is no JSON is skipped with a warning, as in Istio. */
export function jsonMetadata(values: Values): Record<string, JsonValue> {
  const metadata: Record<string, JsonValue> = {}
  for (const [name, text] of values.prefixed(JSON_META_PREFIX)) {
    try {
      metadata[name] = JSON.parse(text) as JsonValue
    } catch {
      values.warn(`env var ${JSON_META_PREFIX}${name} has no effect: its value is not JSON`)
    }
  }
  return metadata
}

function parsed<Name extends keyof Schemas>(
  name: Name,
  text: string,
  origin: string,
): Zod.infer<Schemas[Name]> | undefined {
  if (text === '') return undefined
  // Loaded when there is something to parse: 20 MB of memory that most proxies never need.
  const { parse }: typeof Yaml = load('yaml')
  const zod: typeof Zod = load('zod')
  let document: unknown
  try {
    document = parse(text)
  } catch (error) {
    throw configurationError(`${origin} is not YAML: ${String(error)}`, { cause: error })
  }
  const result = schemas(zod)[name].safeParse(document)
  // The schema of this name is the one whose type was asked for.
  if (result.success) return result.data as Zod.infer<Schemas[Name]>
  throw configurationError(`${origin} is not a ProxyConfig: ${zod.z.prettifyError(result.error)}`, {
    cause: result.error,
  })
}

type Schemas = ReturnType<typeof schemas>

/** The other fields of a ProxyConfig are Envoy's and not looked at. */
function schemas({ z }: typeof Zod) {
  const proxy = z
    .object({
      discoveryAddress: z.string().nullish(),
      proxyAdminPort: z.int().min(0).max(65_535).nullish(),
      statsPort: z.int().min(0).max(65_535).nullish(),
      concurrency: z.int().min(0).nullish(),
      proxyMetadata: z.record(z.string(), z.string()).nullish(),
    })
    .nullish()
  return { proxy, mesh: z.object({ defaultConfig: proxy }).nullish() }
}

const load = createRequire(import.meta.url)

function withoutPrefix(metadata: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(metadata).map(([name, value]) => [
      name.startsWith(META_PREFIX) ? name.slice(META_PREFIX.length) : name,
      value,
    ]),
  )
}
