import type { Logger } from '../telemetry/index.ts'

/** What a process of the data plane is for. */
export interface Running {
  /** Resolves when it has ended in order; rejects when it could not go on. */
  readonly stopped: Promise<void>
  shutdown(mode: 'graceful' | 'immediate'): Promise<void>
}

/**
 * Waits until a signal, or something that was logged where it happened, ends
 * it; resolves with the exit status, when the log is written.
 */
export async function runUntilSignal(running: Running, logger: Logger): Promise<number> {
  const log = logger.scope('app')
  let draining = false
  const onSignal = (signal: NodeJS.Signals): void => {
    log.info('shutting down', { signal })
    // Who presses Ctrl-C again does not want to wait; a supervisor may well ask twice.
    void running.shutdown(draining && signal === 'SIGINT' ? 'immediate' : 'graceful')
    draining = true
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  try {
    await running.stopped
    log.info('shutdown complete')
    return 0
  } catch {
    // A supervisor starts us again.
    return 1
  } finally {
    logger.flush()
  }
}
