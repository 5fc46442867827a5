// Makes requests one after the other, each on a connection of its own, and prints who answered how often as JSON:
// client.ts URL [COUNT]. An error counts under its code.
import { get } from 'node:http'

const [url = '', count = '1'] = process.argv.slice(2)
const answers: Record<string, number> = {}
for (let done = 0; done < Number(count); done++) {
  const answer = await request()
  answers[answer] = (answers[answer] ?? 0) + 1
}
process.stdout.write(`${JSON.stringify(answers)}\n`)

function request(): Promise<string> {
  return new Promise((resolve) => {
    const request = get(url, { agent: false, timeout: 5_000 }, (response) => {
      let body = ''
      response.on('data', (chunk) => {
        body += String(chunk)
      })
      response.on('end', () => resolve(body))
      response.on('error', (error) => resolve(codeOf(error)))
    })
    request.on('timeout', () => request.destroy(new Error('timeout')))
    request.on('error', (error) => resolve(codeOf(error)))
  })
}

function codeOf(error: Error): string {
  return 'code' in error && error.code !== '' ? String(error.code) : error.message
}
