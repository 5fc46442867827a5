// Sees to the system's side before `npm test` and `npm run lab`: as root,
// installs what is missing; otherwise says what to type.
import { ensurePrerequisites } from '../src/lab/prerequisites.ts'

try {
  await ensurePrerequisites({ onProgress: (message) => void process.stdout.write(`${message}\n`) })
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
