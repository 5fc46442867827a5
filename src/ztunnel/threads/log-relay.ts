import type { LogDestination } from '../../telemetry/index.ts'

/**
 * Bytes of log that may be on their way to the main thread. Beyond it the worker waits: a line is never lost, and a
 * stuck reader of the log costs time, not memory.
 */
const MAX_PENDING_BYTES = 4 * 1024 * 1024

/** How long a line below `warn` waits for others to be posted with, milliseconds. */
const GATHER_MS = 20

/** A worker's log: lines are handed to the main thread, which alone writes, so that no two run into each other. */
export function relayedLog(
  post: (lines: string) => void,
  pending: Int32Array<SharedArrayBuffer>,
): Required<LogDestination> {
  let gathered = ''
  let timer: NodeJS.Timeout | undefined
  const handOver = (): void => {
    clearTimeout(timer)
    timer = undefined
    if (gathered === '') return
    const lines = gathered
    gathered = ''
    awaitRoom(pending)
    Atomics.add(pending, 0, lines.length)
    post(lines)
  }
  return {
    write(line) {
      gathered += line
      if (gathered.length > MAX_PENDING_BYTES) handOver()
      else timer ??= setTimeout(handOver, GATHER_MS)
    },
    handOver,
    flushSync: handOver,
  }
}

/** The main thread has written lines. */
export function logWritten(pending: Int32Array<SharedArrayBuffer>, lines: string): void {
  Atomics.sub(pending, 0, lines.length)
  Atomics.notify(pending, 0)
}

/** Blocks this thread while too much is on its way. */
function awaitRoom(pending: Int32Array<SharedArrayBuffer>): void {
  for (;;) {
    const bytes = Atomics.load(pending, 0)
    if (bytes <= MAX_PENDING_BYTES) return
    Atomics.wait(pending, 0, bytes)
  }
}
