import { Command } from 'commander'

/**
 * `ztunnel proxy`: the node proxy. Told everything by Istio's environment variables. Further arguments are ignored, as
 * the real one does: Istio's chart starts it as `proxy ztunnel`.
 */
export function proxyCommand(version: string): Command {
  return new Command('proxy')
    .description("run the node proxy; configured by the environment variables of Istio's ztunnel")
    .allowExcessArguments()
    .action(async () => {
      // Loaded here: every command starts from one program, and pays only for its own role.
      const { runProxy } = await import('../ztunnel/run-proxy.ts')
      process.exitCode = await runProxy(process.env, version)
      // Sockets of a forced drain may linger; the decision to end has been made.
      process.exit()
    })
}
