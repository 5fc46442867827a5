import { Command } from 'commander'
import { createLogger } from '../telemetry/index.ts'
import { startZtunnel } from '../ztunnel/app.ts'
import { loadConfig } from '../ztunnel/config.ts'
import { versionInfo } from '../ztunnel/version.ts'

/** `ztunnel proxy`: the node proxy. Told everything by Istio's environment variables. */
export function proxyCommand(version: string): Command {
  return new Command('proxy')
    .description("run the node proxy; configured by the environment variables of Istio's ztunnel")
    .action(() => run(version))
}

async function run(version: string): Promise<void> {
  const config = loadConfig(process.env)
  const logger = createLogger({ format: config.logFormat, level: config.logFilter })
  const ztunnel = await startZtunnel({ config, logger, version: versionInfo(version) })
  let asked = 0
  const onSignal = (signal: NodeJS.Signals): void => {
    asked += 1
    logger.scope('app').info('shutting down', { signal })
    void ztunnel.shutdown()
    // A second Ctrl-C means now.
    if (asked > 1 && signal === 'SIGINT') exit(logger, 0)
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  try {
    await ztunnel.stopped
    logger.scope('app').info('shutdown complete')
    exit(logger, 0)
  } catch {
    // Logged where it happened; a supervisor starts us again.
    exit(logger, 1)
  }
}

function exit(logger: { flush(): void }, status: number): never {
  logger.flush()
  process.exit(status)
}
