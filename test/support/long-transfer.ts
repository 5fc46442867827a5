// A client program: opens one TCP connection, says `open` when the server has
// greeted it, sends without a pause longer than 20 ms until its standard input
// ends, closes its half, and prints what the server got beside what it sent.
import { createHash, randomBytes } from 'node:crypto'
import { connect } from 'node:net'

const [host = '', port = '0'] = process.argv.slice(2)
const hash = createHash('sha256')
const socket = connect({ host, port: Number(port), allowHalfOpen: true })
let sent = 0
let text = ''
let finishing = false

socket.setEncoding('utf8')
socket.on('error', (error) => report({ error: error.message }))
socket.on('data', (chunk: string) => {
  if (text === '') {
    process.stdout.write('open\n')
    send()
  }
  text += chunk
})
socket.on('end', () => {
  if (!finishing) return report({ error: 'the server ended the connection first' })
  report(JSON.parse(text.split('\n')[1] ?? '{}'))
})
process.stdin.on('end', () => {
  finishing = true
})
process.stdin.resume()

function send(): void {
  if (finishing) return void socket.end()
  const block = randomBytes(64 * 1024)
  hash.update(block)
  sent += block.length
  socket.write(block, () => setTimeout(send, 20))
}

function report(answer: Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify({ ...answer, sent, expected: hash.digest('hex') })}\n`)
  process.exit()
}
