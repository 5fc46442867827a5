import { DockerError } from './errors.ts'

/** Longest event, characters. Docker's are some hundred; labels make them longer, and are limited by nothing. */
const MAX_LINE_CHARS = 4 * 1024 * 1024

/** The JSON values of a stream, one to a line. Throws DockerError `malformed`. */
export async function* jsonLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<unknown> {
  const decoder = new TextDecoder()
  let pending = ''
  for await (const chunk of chunks) {
    pending += decoder.decode(chunk, { stream: true })
    const lines = pending.split('\n')
    pending = lines.pop() ?? ''
    if (pending.length > MAX_LINE_CHARS) {
      throw new DockerError('malformed', `an event of Docker is longer than ${MAX_LINE_CHARS} characters`)
    }
    for (const line of lines) if (line.trim() !== '') yield parse(line)
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch (cause) {
    throw new DockerError('malformed', `an event of Docker is no JSON: ${line.slice(0, 80)}`, { cause })
  }
}
