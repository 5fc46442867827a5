import { createLogger } from '../telemetry/index.ts'
import { startZtunnel } from './app.ts'
import { loadConfig } from './config/config.ts'
import { versionInfo } from './version.ts'

/**
 * Runs a node proxy until a signal ends it; resolves with the exit status.
 * Rejects with ProxyError when it cannot start.
 */
export async function runProxy(
  env: Readonly<Record<string, string | undefined>>,
  version: string,
): Promise<number> {
  const config = loadConfig(env)
  const logger = createLogger({ format: config.logFormat, level: config.logFilter })
  const log = logger.scope('app')
  const ztunnel = await startZtunnel({ config, logger, version: versionInfo(version) })
  let draining = false
  const onSignal = (signal: NodeJS.Signals): void => {
    log.info('shutting down', { signal })
    // Who presses Ctrl-C again does not want to wait; a supervisor may well ask twice.
    void ztunnel.shutdown(draining && signal === 'SIGINT' ? 'immediate' : 'graceful')
    draining = true
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  try {
    await ztunnel.stopped
    log.info('shutdown complete')
    return 0
  } catch {
    // Logged where it happened; a supervisor starts us again.
    return 1
  } finally {
    logger.flush()
  }
}
