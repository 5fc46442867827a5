import { Session } from 'node:inspector/promises'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Samples what the process does, as a `.cpuprofile` (JSON) for Chrome's
 * developer tools or speedscope; the reference gives pprof, which needs its
 * own symbols. The profile has names of functions and files, no values.
 */
export async function takeCpuProfile(seconds: number, samplesPerSecond: number): Promise<string> {
  const session = new Session()
  session.connect()
  try {
    await session.post('Profiler.enable')
    await session.post('Profiler.setSamplingInterval', { interval: Math.round(1_000_000 / samplesPerSecond) })
    await session.post('Profiler.start')
    // Unreferenced: a profile that nobody will get must not keep the process alive.
    await sleep(seconds * 1000, undefined, { ref: false })
    const { profile } = await session.post('Profiler.stop')
    return JSON.stringify(profile)
  } finally {
    session.disconnect()
  }
}
