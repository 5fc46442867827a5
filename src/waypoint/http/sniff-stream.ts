import type { Duplex } from 'node:stream'
import { type Sniffed, sniffProtocol } from './sniff.ts'

/**
 * Looks at the first bytes of a stream and puts them back. Resolves with
 * `need-more` when they are not enough in time, or when the stream ends first
 * (its bytes are lost then).
 * Nobody else may read from the stream meanwhile.
 */
export function readFirstBytes(stream: Duplex, timeoutMs: number): Promise<Sniffed> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    const finish = (sniffed: Sniffed): void => {
      clearTimeout(timer)
      stream.off('readable', onReadable).off('end', onOver).off('close', onOver).off('error', ignore)
      if (!stream.destroyed && !stream.readableEnded && chunks.length > 0)
        stream.unshift(Buffer.concat(chunks))
      resolve(sniffed)
    }
    const onReadable = (): void => {
      for (let chunk = read(stream); chunk !== undefined; chunk = read(stream)) {
        chunks.push(chunk)
        const sniffed = sniffProtocol(chunks.length === 1 ? chunk : Buffer.concat(chunks))
        if (sniffed === 'need-more') continue
        finish(sniffed)
        return
      }
    }
    const onOver = (): void => finish('need-more')
    const timer = setTimeout(onOver, timeoutMs)
    stream.on('error', ignore).on('readable', onReadable).once('end', onOver).once('close', onOver)
  })
}

function read(stream: Duplex): Buffer | undefined {
  const chunk: unknown = stream.read()
  return Buffer.isBuffer(chunk) ? chunk : undefined
}

function ignore(): void {}
