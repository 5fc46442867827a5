import { get } from 'node:http'
import { Command, InvalidArgumentError } from 'commander'

/** Of proxies and waypoints, on this host. */
const DEFAULT_URL = 'http://127.0.0.1:15021/healthz/ready'
/** Docker's own default for a health check is longer; one that hangs is not healthy. */
const TIMEOUT_MS = 3_000

/** `ztunnel healthcheck`: asks whether a role is ready, where there is no curl: in a container's health check. */
export function healthcheckCommand(): Command {
  return new Command('healthcheck')
    .description('ask a role on this host whether it is ready; the exit status says so')
    .argument(
      '[url]',
      "its readiness; a config server's is http://127.0.0.1:15014/ready",
      parseUrl,
      DEFAULT_URL,
    )
    .action(async (url: string) => {
      const problem = await problemAt(url)
      if (problem === undefined) return
      process.stderr.write(`${url}: ${problem}\n`)
      process.exitCode = 1
    })
}

/** Why it is not ready; undefined when it is. Docker keeps this text with the container's health. */
function problemAt(url: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const request = get(url, { timeout: TIMEOUT_MS, agent: false }, (response) => {
      const { statusCode } = response
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text = (text + chunk).slice(0, MAX_TEXT)
      })
      response.once('close', () => resolve(statusCode === 200 ? undefined : `${statusCode} ${text.trim()}`))
    })
    request.once('timeout', () => request.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)))
    request.once('error', (error) => resolve(error.message))
  })
}

/** Characters of the answer that are shown. */
const MAX_TEXT = 1_000

function parseUrl(text: string): string {
  const url = URL.parse(text)
  if (url?.protocol === 'http:') return url.href
  throw new InvalidArgumentError('it must be http://HOST:PORT/PATH')
}
