import { randomBytes } from 'node:crypto'
import { Writable } from 'node:stream'
import fc from 'fast-check'
import t from 'tap'
import { OutBuffer } from './out-buffer.ts'
import { SLAB_BYTES, SlabPool } from './slab-pool.ts'

/** A sink whose writes are over when the test says so. */
class SlowSink extends Writable {
  readonly writes: Buffer[] = []
  #done: (() => void) | undefined

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    // What is written must not change until it is over.
    this.writes.push(chunk)
    this.#done = () => {
      this.writes[this.writes.length - 1] = Buffer.from(chunk)
      done()
    }
  }

  /** Ends the write that is under way; false when there is none. */
  async finish(): Promise<boolean> {
    const done = this.#done
    this.#done = undefined
    done?.()
    await new Promise(setImmediate)
    return done !== undefined
  }
}

t.test('whatever is appended comes out in its order, however the sink is slow', async (t) => {
  const sizes = fc.array(fc.oneof(fc.nat(40), fc.nat(2000), fc.nat(200_000)), { maxLength: 30 })
  await fc.assert(
    fc.asyncProperty(sizes, fc.array(fc.nat(2), { minLength: 30, maxLength: 30 }), async (lengths, turns) => {
      const sink = new SlowSink()
      let written = 0
      const out = new OutBuffer(sink, new SlabPool(), (bytes) => {
        written += bytes
      })
      const all: Buffer[] = []
      for (const [i, length] of lengths.entries()) {
        const bytes = randomBytes(length)
        all.push(Buffer.from(bytes))
        out.append(bytes)
        bytes.fill(0)
        if (i % 3 === 0) {
          const at = out.reserve(4)
          out.slab.writeUInt32BE(i, at)
          all.push(Buffer.from(out.slab.subarray(at, at + 4)))
        }
        if (turns[i] === 1) out.flush()
        if (turns[i] === 2) await sink.finish()
      }
      out.flush()
      while (await sink.finish());
      const expected = Buffer.concat(all)
      return written === expected.length && out.size === 0 && Buffer.concat(sink.writes).equals(expected)
    }),
    { numRuns: 100 },
  )
  t.pass()
})

t.test('one write is under way at a time, and none is larger than a slab', async (t) => {
  const sink = new SlowSink()
  const out = new OutBuffer(sink, new SlabPool(), () => {})
  out.append(Buffer.alloc(10))
  out.flush()
  out.append(Buffer.alloc(SLAB_BYTES * 2 + 5))
  out.flush()
  t.same(
    sink.writes.map(({ length }) => length),
    [10],
  )
  while (await sink.finish());
  t.same(
    sink.writes.map(({ length }) => length),
    [10, SLAB_BYTES, SLAB_BYTES, 5],
  )
})

t.test('much traffic takes its slabs from the pool, and idle ones go', async (t) => {
  const sink = new SlowSink()
  const pool = new SlabPool()
  const out = new OutBuffer(sink, pool, () => {})
  const used = new Set<ArrayBufferLike>()
  for (let i = 0; i < 50; i++) {
    out.append(Buffer.alloc(SLAB_BYTES))
    out.flush()
    used.add(sink.writes.at(-1)?.buffer ?? new ArrayBuffer(0))
    await sink.finish()
  }
  t.equal(used.size, 1, 'one slab for all of them')
  pool.trim()
  pool.trim()
  const [mine] = used
  t.not(pool.take(SLAB_BYTES).buffer, mine, 'it was let go')
})
