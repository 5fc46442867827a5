import type { Config, ControlPlaneConfig } from './model.ts'

/**
 * The configuration as the config dump and the start-up log show it: all of
 * it but tokens and header values, durations as ztunnel's dump has them.
 */
export function describeConfig(config: Config): Record<string, unknown> {
  const { authToken, xds, ca, localMesh, ...rest } = config
  return {
    ...(withDurations(rest) as Record<string, unknown>),
    xds: xds === undefined ? undefined : describeServer(xds),
    localMesh: localMesh?.kind === 'file' ? localMesh.path : localMesh?.kind,
    ca: describeServer(ca),
    authToken: authToken === undefined ? undefined : authToken.kind === 'file' ? authToken.path : HIDDEN,
  }
}

const HIDDEN = '(not shown)'

function describeServer({
  address,
  roots,
  alternativeHostname,
  headers,
}: ControlPlaneConfig): Record<string, unknown> {
  return {
    address,
    rootCert: roots.rootCertFile ?? (roots.systemRoots === true ? 'SYSTEM' : 'inline PEM'),
    alternativeHostname,
    headers: Object.fromEntries(Object.keys(headers).map((name) => [name, HIDDEN])),
  }
}

/** Fields that end in `Ms` or `Seconds` lose the unit and become `{secs, nanos}`. */
function withDurations(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withDurations)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => {
      const unit = typeof field === 'number' ? /^(.*?)(Ms|Seconds)$/.exec(name) : null
      if (unit?.[1] === undefined || typeof field !== 'number') return [name, withDurations(field)]
      return [unit[1], duration(unit[2] === 'Ms' ? field : field * 1000)]
    }),
  )
}

function duration(ms: number): { secs: number; nanos: number } {
  const secs = Math.floor(ms / 1000)
  return { secs, nanos: Math.round((ms - secs * 1000) * 1e6) }
}
