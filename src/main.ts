import { createProgram } from './cli/program.ts'

/** Runs one command line. The only place that sets the process's exit status. */
export async function main(argv: readonly string[]): Promise<void> {
  const program = await createProgram(argv)
  try {
    await program.parseAsync([...argv])
  } catch (error) {
    process.stderr.write(`ztunnel: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  }
}
