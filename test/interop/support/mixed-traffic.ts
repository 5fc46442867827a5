import { randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { type OpenTunnel, receive, type TunnelEnds } from './tunnel-suite.ts'

/** What became of many tunnels. */
export interface MixedResult {
  readonly tunnels: number
  /** Those whose bytes were not what was sent, and how. */
  readonly wrong: readonly string[]
}

const AT_ONCE = 40
const MAX_BYTES = 512 * 1024

/** Opens tunnel after tunnel, many at a time, some of which answer, some of which either end aborts at a random moment. */
export async function mixedTraffic(count: number, open: OpenTunnel): Promise<MixedResult> {
  const wrong: string[] = []
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) {
      const kind = KINDS[next++ % KINDS.length] ?? exchange
      const problem = await kind(await open())
      if (problem !== undefined) wrong.push(`${kind.name}: ${problem}`)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  return { tunnels: count, wrong }
}

type Kind = (ends: TunnelEnds) => Promise<string | undefined>

/** Both send, in pieces; the application closes last. */
async function exchange({ client, app }: TunnelEnds): Promise<string | undefined> {
  const [question, answer] = [randomBytes(randomInt(1, MAX_BYTES)), randomBytes(randomInt(1, MAX_BYTES))]
  const [heard, got] = [receive(app), receive(client)]
  for (let at = 0; at < question.length; at += PIECE) client.write(question.subarray(at, at + PIECE))
  app.write(answer)
  client.end()
  const up = (await heard).bytes
  app.end()
  const down = (await got).bytes
  if (up === question.length && down === answer.length) return undefined
  return `up ${up} of ${question.length}, down ${down} of ${answer.length}`
}

async function clientAborts(ends: TunnelEnds): Promise<undefined> {
  await aborted(ends.client, ends.app)
}

async function applicationAborts(ends: TunnelEnds): Promise<undefined> {
  await aborted(ends.app, ends.client)
}

/** While both are sending. */
async function aborted(leaving: TunnelEnds['client'], staying: TunnelEnds['client']): Promise<void> {
  staying.write(randomBytes(MAX_BYTES))
  leaving.write(randomBytes(randomInt(1, MAX_BYTES)))
  await once(leaving.resume(), 'data')
  leaving.resetAndDestroy()
  await receive(staying)
  staying.destroy()
}

const KINDS: readonly Kind[] = [exchange, clientAborts, exchange, applicationAborts]
const PIECE = 1000
