import { readFileSync } from 'node:fs'
import { Command } from 'commander'

/** In the order of the help text. */
export const COMMANDS: ReadonlyMap<string, (version: string) => Promise<Command>> = new Map([
  ['lab', async () => (await import('./lab.ts')).labCommand()],
  ['check', async () => (await import('./check.ts')).checkCommand()],
  ['proxy', async (version) => (await import('./proxy.ts')).proxyCommand(version)],
  ['waypoint', async (version) => (await import('./waypoint.ts')).waypointCommand(version)],
  ['config-server', async () => (await import('./config-server.ts')).configServerCommand()],
  ['agent', async () => (await import('./agent.ts')).agentCommand()],
  ['explain', async () => (await import('./explain.ts')).explainCommand()],
  ['config', async () => (await import('./config.ts')).configCommand()],
  ['certs', async () => (await import('./certs.ts')).certsCommand()],
  ['conformance', async () => (await import('./conformance.ts')).conformanceCommand()],
  ['sidecar', async () => (await import('./sidecar.ts')).sidecarCommand()],
  ['healthcheck', async () => (await import('./healthcheck.ts')).healthcheckCommand()],
  ['token', async () => (await import('./token.ts')).tokenCommand()],
  ['version', async (version) => (await import('./version.ts')).versionCommand(version)],
] satisfies readonly [string, (version: string) => Promise<Command>][])

/**
 * The command line: one executable, one command per role of the mesh and per tool. Only the command that `argv` names
 * is loaded, so that a node proxy holds no other role's code; all of them for help, and for a name that is none.
 */
export async function createProgram(argv: readonly string[]): Promise<Command> {
  const version = packageVersion()
  const program = new Command('ztunnel')
    .description('The Istio ambient L4 data plane on Node: node proxy, config server, node agent, labs')
    .version(version)
    .showHelpAfterError()
  const named = COMMANDS.get(argv[2] ?? '')
  for (const load of named === undefined ? COMMANDS.values() : [named])
    program.addCommand(await load(version))
  return program
}

function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  if (typeof manifest === 'object' && manifest !== null && 'version' in manifest)
    return String(manifest.version)
  return 'unknown'
}
