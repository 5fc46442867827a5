import { createLogger } from '../telemetry/index.ts'
import { runUntilSignal } from '../ztunnel/run-until-signal.ts'
import { versionInfo } from '../ztunnel/version.ts'
import { startWaypoint } from './app.ts'
import { loadWaypointConfig } from './config.ts'

/**
 * Runs a waypoint until a signal ends it; resolves with the exit status.
 * Rejects with ProxyError when it cannot start.
 */
export async function runWaypoint(
  env: Readonly<Record<string, string | undefined>>,
  version: string,
): Promise<number> {
  const config = loadWaypointConfig(env)
  const { logFormat, logFilter } = config.base
  const logger = createLogger({ format: logFormat, level: logFilter })
  const waypoint = await startWaypoint({ config, logger, version: versionInfo(version) })
  return runUntilSignal(waypoint, logger)
}
