import { Command } from 'commander'
import type { Explanation } from '../mesh/index.ts'
import { explanationText } from './explain-text.ts'

interface ExplainFlags {
  readonly json?: boolean
  readonly admin: string
}

/** `ztunnel explain`: asks a running proxy what it would do with a connection, and why. */
export function explainCommand(): Command {
  return new Command('explain')
    .description('ask the running proxy what it would do with a connection, and why; nothing is sent')
    .argument('<source>', 'namespace/pod')
    .argument('<destination>', 'ip:port, service[.namespace]:port, hostname:port or namespace/pod:port')
    .option('--json', 'print what the proxy answers')
    .option('--admin <url>', "the proxy's admin API", 'http://localhost:15000')
    .action(async (source: string, destination: string, flags: ExplainFlags) => {
      try {
        const explanation = await ask(flags.admin, source, destination)
        const text = flags.json === true ? JSON.stringify(explanation, undefined, 2) : undefined
        process.stdout.write(text === undefined ? explanationText(explanation, destination) : `${text}\n`)
      } catch (error) {
        process.stderr.write(`ztunnel explain: ${error instanceof Error ? error.message : String(error)}\n`)
        process.exitCode = 1
      }
    })
}

/** More than the five seconds that a proxy waits for its control plane, milliseconds. */
const ANSWER_TIMEOUT_MS = 10_000

async function ask(admin: string, source: string, destination: string): Promise<Explanation> {
  const url = URL.parse('/explain', admin)
  if (url === null) throw new Error(`${admin} is no URL; --admin takes one such as http://localhost:15000`)
  url.search = new URLSearchParams({ source, destination }).toString()
  const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) }).catch((error) => {
    const cause: unknown = error instanceof Error ? (error.cause ?? error) : error
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new Error(
      `no answer from the proxy at ${url.origin}: ${why}; is it running, and in this network namespace? ` +
        'In a lab: ztunnel lab exec node-a -- npx ztunnel explain …',
    )
  })
  const body = await response.text()
  if (!response.ok) throw new Error(body.trim() || `the proxy answered ${response.status}`)
  // The proxy is of the same release; what it sends is what explain gives.
  return JSON.parse(body) as Explanation
}
