/** Counts of values up to each of some bounds, as Prometheus has them. */
export class Histogram {
  readonly #bounds: readonly number[]
  readonly #counts: number[]
  #count = 0
  #sum = 0

  /** `bounds` ascend; above the last there is infinity. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds
    this.#counts = bounds.map(() => 0)
  }

  observe(value: number): void {
    this.#count += 1
    this.#sum += value
    const index = this.#bounds.findIndex((bound) => value <= bound)
    if (index !== -1) this.#counts[index] = (this.#counts[index] ?? 0) + 1
  }

  /** OpenMetrics lines of one label set, each with its end. */
  lines(name: string, labels: string): string {
    let total = 0
    const buckets = this.#bounds.map((bound, index) => {
      total += this.#counts[index] ?? 0
      return `${name}_bucket{${labels},le="${bound}"} ${total}\n`
    })
    return (
      buckets.join('') +
      `${name}_bucket{${labels},le="+Inf"} ${this.#count}\n` +
      `${name}_sum{${labels}} ${this.#sum}\n${name}_count{${labels}} ${this.#count}\n`
    )
  }
}
