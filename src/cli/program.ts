import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { agentCommand } from './agent.ts'
import { certsCommand } from './certs.ts'
import { checkCommand } from './check.ts'
import { configCommand } from './config.ts'
import { configServerCommand } from './config-server.ts'
import { conformanceCommand } from './conformance.ts'
import { explainCommand } from './explain.ts'
import { healthcheckCommand } from './healthcheck.ts'
import { labCommand } from './lab.ts'
import { proxyCommand } from './proxy.ts'
import { sidecarCommand } from './sidecar.ts'
import { tokenCommand } from './token.ts'
import { versionCommand } from './version.ts'
import { waypointCommand } from './waypoint.ts'

/** The command line: one executable, one command per role of the mesh and per tool. */
export function createProgram(): Command {
  return new Command('ztunnel')
    .description('The Istio ambient L4 data plane on Node: node proxy, config server, node agent, labs')
    .version(packageVersion())
    .showHelpAfterError()
    .addCommand(labCommand())
    .addCommand(checkCommand())
    .addCommand(proxyCommand(packageVersion()))
    .addCommand(waypointCommand(packageVersion()))
    .addCommand(configServerCommand())
    .addCommand(agentCommand())
    .addCommand(explainCommand())
    .addCommand(configCommand())
    .addCommand(certsCommand())
    .addCommand(conformanceCommand())
    .addCommand(sidecarCommand())
    .addCommand(healthcheckCommand())
    .addCommand(tokenCommand())
    .addCommand(versionCommand(packageVersion()))
}

function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  if (typeof manifest === 'object' && manifest !== null && 'version' in manifest)
    return String(manifest.version)
  return 'unknown'
}
