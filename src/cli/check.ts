import process from 'node:process'
import { Command } from 'commander'

/** `ztunnel check`: whether a lab's point is met, in the mesh of docker-compose.yml. Exit status 1: it is not. */
export function checkCommand(): Command {
  return new Command('check')
    .description(
      'say whether a lab is done right, in the running mesh of docker-compose.yml, with a hint where not',
    )
    .argument('<lab...>', 'folders like labs/03-allow-and-deny, or their numbers')
    .option('--project-directory <folder>', 'where docker-compose.yml is', '.')
    .action(async (labs: readonly string[], { projectDirectory }: { readonly projectDirectory: string }) => {
      const { composeMesh, findCheck, formatFindings, isRight } = await import('../checks/index.ts')
      try {
        const checks = labs.map(findCheck)
        const mesh = composeMesh({ root: projectDirectory })
        for (const { lab, check } of checks) {
          const findings = await check(mesh)
          process.stdout.write(formatFindings(lab, findings))
          if (!isRight(findings)) process.exitCode = 1
        }
      } catch (error) {
        process.stderr.write(`ztunnel check: ${error instanceof Error ? error.message : String(error)}\n`)
        process.exitCode = 1
      }
    })
}
