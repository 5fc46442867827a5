import fc from 'fast-check'
import t from 'tap'
import { jsonLines } from './json-lines.ts'

async function* inPieces(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let from = 0
  for (const size of sizes) {
    yield bytes.subarray(from, from + size)
    from += size
  }
  yield bytes.subarray(from)
}

async function collect(values: AsyncIterable<unknown>): Promise<readonly unknown[]> {
  const all: unknown[] = []
  for await (const value of values) all.push(value)
  return all
}

t.test('whatever the pieces, the values are the same', async () => {
  const values = fc.array(
    fc.jsonValue().filter((value) => value !== null),
    { maxLength: 10 },
  )
  await fc.assert(
    fc.asyncProperty(values, fc.array(fc.nat(20)), async (values, sizes) => {
      const text = values.map((value) => `${JSON.stringify(value)}\n`).join('\n')
      const read = await collect(jsonLines(inPieces(new TextEncoder().encode(text), sizes)))
      return JSON.stringify(read) === JSON.stringify(values)
    }),
  )
})

t.test('a line without end is not held for ever', async (t) => {
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (;;) yield new Uint8Array(64 * 1024).fill(0x20)
  }
  await t.rejects(collect(jsonLines(endless())), {
    code: 'malformed',
    message: /longer than \d+ characters/,
  })
})
