// A client program: until its standard input ends, opens one TCP connection
// after the other, several at a time, and checks that each gets its own answer.
// Says `open` when the first has, one dot for each hundred, and last how many
// there were, what went wrong, and when that was.
import { connect } from 'node:net'

const [host = '', port = '0', atOnce = '8', pauseMs = '0'] = process.argv.slice(2)
/** A connection that takes longer than this has failed: nobody waits for so long. Milliseconds. */
const PATIENCE_MS = 8_000

let made = 0
let longest = 0
let finishing = false
const errors: string[] = []
/** The beginning and the end of each connection that failed, milliseconds since the epoch. */
const failures: { began: number; ended: number }[] = []

process.stdin.on('end', () => {
  finishing = true
})
process.stdin.resume()
await Promise.all(Array.from({ length: Number(atOnce) }, keepConnecting))
process.stdout.write(
  `${JSON.stringify({ made, longest, errors: errors.slice(0, 10), failed: errors.length, failures })}\n`,
)
process.exit()

async function keepConnecting(): Promise<void> {
  while (!finishing) {
    const began = performance.now()
    const error = await once()
    longest = Math.max(longest, Math.round(performance.now() - began))
    if (error !== undefined) {
      errors.push(error)
      failures.push({ began: performance.timeOrigin + began, ended: Date.now() })
    }
    made++
    if (made === 1) process.stdout.write('open\n')
    if (made % 100 === 0) process.stdout.write('.\n')
    if (pauseMs !== '0') await new Promise((resolve) => setTimeout(resolve, Number(pauseMs)))
  }
}

/** One connection; why it failed, if it did. */
function once(): Promise<string | undefined> {
  const mine = `connection ${Math.random()}.`
  return new Promise((resolve) => {
    let text = ''
    const socket = connect({ host, port: Number(port), allowHalfOpen: true })
    const timer = setTimeout(
      () => done(`nothing for ${PATIENCE_MS} ms after ${JSON.stringify(text)}`),
      PATIENCE_MS,
    )
    const done = (error?: string): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(error)
    }
    socket.setEncoding('utf8')
    socket.on('error', (error) => done(error.message))
    socket.on('data', (chunk: string) => {
      // The greeting: now our half.
      if (text === '') socket.end(mine)
      text += chunk
    })
    socket.on('end', () => done(text.includes(mine) ? undefined : `ended after ${JSON.stringify(text)}`))
  })
}
