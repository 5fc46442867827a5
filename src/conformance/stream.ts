import { errorName } from './frames.ts'

/** What the target has said on one stream. */
export interface StreamView {
  readonly id: number
  /** Of the last HEADERS. */
  readonly status: number | undefined
  readonly headers: ReadonlyMap<string, string>
  /** END_STREAM came with the HEADERS. */
  readonly headersOnly: boolean
  /** Content of DATA frames, without their padding. */
  readonly received: readonly Buffer[]
  readonly receivedBytes: number
  /** Of a DATA frame's payload. */
  readonly largestFrame: number
  /** END_STREAM came. */
  readonly ended: boolean
  /** Code of RST_STREAM. */
  readonly reset: number | undefined
  /** What the target lets us send yet, bytes. */
  readonly sendWindow: number
}

export type MutableStream = {
  -readonly [Key in keyof StreamView]: Key extends 'received' ? Buffer[] : StreamView[Key]
}

export function newStream(id: number, sendWindow: number): MutableStream {
  return {
    id,
    status: undefined,
    headers: new Map(),
    headersOnly: false,
    received: [],
    receivedBytes: 0,
    largestFrame: 0,
    ended: false,
    reset: undefined,
    sendWindow,
  }
}

/** Its answer, and how it ended, in a few words. */
export function describeStream(stream: StreamView): string {
  const words: string[] = []
  if (stream.status !== undefined) words.push(`status ${stream.status}`)
  if (stream.receivedBytes > 0) words.push(`${stream.receivedBytes} bytes`)
  if (stream.ended) words.push('END_STREAM')
  if (stream.reset !== undefined) words.push(`RST_STREAM(${errorName(stream.reset)})`)
  return words.length === 0 ? 'no answer' : words.join(', ')
}
