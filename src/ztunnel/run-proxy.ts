import { createLogger } from '../telemetry/index.ts'
import { startZtunnel } from './app.ts'
import { loadConfig } from './config/config.ts'
import { runUntilSignal } from './run-until-signal.ts'
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
  const ztunnel = await startZtunnel({ config, logger, version: versionInfo(version) })
  return runUntilSignal(ztunnel, logger)
}
