import type { Measure, Sample } from './measures/measure.ts'

/** Tells what is going on, a line for each measure at each peer, on standard error. */
export class Progress {
  readonly #write: (text: string) => void
  readonly #began = performance.now()
  #total = 0
  #step = 0

  constructor(write: (text: string) => void = (text) => void process.stderr.write(text)) {
    this.#write = write
  }

  say(text: string): void {
    this.#write(`${text}\n`)
  }

  begin(total: number): void {
    this.#total = total
  }

  doing(round: number, measure: string, peer: string): void {
    this.#step += 1
    this.#write(`[${this.#step}/${this.#total}] round ${round}, ${measure}, ${peer}: `)
  }

  done({ figures }: Measure, sample: Sample): void {
    const shown = figures
      .filter(({ key }) => sample[key] !== undefined)
      .slice(0, 2)
      .map(({ key, title, unit, digits }) => `${title} ${sample[key]?.toFixed(digits)} ${unit}`.trim())
    this.#write(`${shown.join(', ')}${this.#left()}\n`)
  }

  failed(reason: string): void {
    this.#write(`FAILED: ${reason}\n`)
  }

  /** By what the steps so far took. */
  #left(): string {
    const seconds = ((performance.now() - this.#began) / this.#step / 1000) * (this.#total - this.#step)
    if (seconds < 1) return ''
    return seconds < 90 ? `   (${Math.ceil(seconds)} s left)` : `   (${Math.ceil(seconds / 60)} min left)`
  }
}
