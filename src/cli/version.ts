import { Command } from 'commander'
import { versionInfo } from '../ztunnel/version.ts'

/** `ztunnel version`: what this is and what it runs on. */
export function versionCommand(version: string): Command {
  return new Command('version').description('print the version and the runtime').action(() => {
    process.stdout.write(`${JSON.stringify(versionInfo(version), undefined, 2)}\n`)
  })
}
