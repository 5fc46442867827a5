import { createLogger } from '../telemetry/index.ts'
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
  const log = logger.scope('app')
  const waypoint = await startWaypoint({ config, logger, version: versionInfo(version) })
  let draining = false
  const onSignal = (signal: NodeJS.Signals): void => {
    log.info('shutting down', { signal })
    // Who presses Ctrl-C again does not want to wait; a supervisor may well ask twice.
    void waypoint.shutdown(draining && signal === 'SIGINT' ? 'immediate' : 'graceful')
    draining = true
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  try {
    await waypoint.stopped
    log.info('shutdown complete')
    return 0
  } catch {
    // Logged where it happened; a supervisor starts us again.
    return 1
  } finally {
    logger.flush()
  }
}
