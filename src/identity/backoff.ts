/**
 * The pause before attempt `failures + 1`, milliseconds: 1 s after the first
 * failure, doubling, ±20 %, never above 150 s (ztunnel's figures). `random`
 * is in [0, 1).
 */
export function backoffMs(failures: number, random: number): number {
  const base = Math.min(FIRST_MS * 2 ** (failures - 1), CAP_MS)
  return Math.min(base * (1 - JITTER + 2 * JITTER * random), CAP_MS)
}

/** As ztunnel: the first retry soon, the later ones so rarely that a CA that is down can come up. */
const FIRST_MS = 1_000
const CAP_MS = 150_000
const JITTER = 0.2
