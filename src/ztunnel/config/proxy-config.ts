import { parse } from 'yaml'
import { z } from 'zod'
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

/** The other fields of a ProxyConfig are Envoy's and not looked at. */
const proxyConfigSchema = z
  .object({
    discoveryAddress: z.string().nullish(),
    proxyAdminPort: z.int().min(0).max(65_535).nullish(),
    statsPort: z.int().min(0).max(65_535).nullish(),
    concurrency: z.int().min(0).nullish(),
    proxyMetadata: z.record(z.string(), z.string()).nullish(),
  })
  .nullish()

const meshConfigSchema = z.object({ defaultConfig: proxyConfigSchema }).nullish()

/** Merges the mounted mesh configuration, PROXY_CONFIG and ISTIO_META_*, the later ones first in rank. */
export function loadProxyConfig(values: Values, files: FileSystemPort): ProxyConfig {
  const mounted = files.exists(MESH_CONFIG_PATH)
    ? parsed(meshConfigSchema, files.readText(MESH_CONFIG_PATH), `the mesh configuration ${MESH_CONFIG_PATH}`)
        ?.defaultConfig
    : undefined
  const own = parsed(proxyConfigSchema, values.text('PROXY_CONFIG', ''), 'env var PROXY_CONFIG')
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

function parsed<Schema extends z.ZodType>(schema: Schema, text: string, origin: string): z.infer<Schema> {
  let document: unknown
  try {
    document = parse(text)
  } catch (error) {
    throw configurationError(`${origin} is not YAML: ${String(error)}`, { cause: error })
  }
  const result = schema.safeParse(document)
  if (result.success) return result.data
  throw configurationError(`${origin} is not a ProxyConfig: ${z.prettifyError(result.error)}`, {
    cause: result.error,
  })
}

function withoutPrefix(metadata: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(metadata).map(([name, value]) => [
      name.startsWith(META_PREFIX) ? name.slice(META_PREFIX.length) : name,
      value,
    ]),
  )
}
