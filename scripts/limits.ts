// Writes docs/limits.md out of the sources: `node scripts/limits.ts`.
import { writeFileSync } from 'node:fs'
import { findLimits, LIMITS_PAGE, renderLimits } from './limits-page.ts'

writeFileSync(LIMITS_PAGE, renderLimits(findLimits()))
