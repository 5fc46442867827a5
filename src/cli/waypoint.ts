import { Command } from 'commander'

/** `ztunnel waypoint`: the L7 proxy of a Gateway. Told everything by environment variables, as the node proxy is. */
export function waypointCommand(version: string): Command {
  return new Command('waypoint')
    .description('run a waypoint, the L7 proxy of a Gateway; configured by environment variables')
    .allowExcessArguments()
    .action(async () => {
      // Loaded here: every command starts from one program, and pays only for its own role.
      const { runWaypoint } = await import('../waypoint/run-waypoint.ts')
      process.exitCode = await runWaypoint(process.env, version)
      // Sockets of a forced drain may linger; the decision to end has been made.
      process.exit()
    })
}
