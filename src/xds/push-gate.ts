/**
 * How many whole meshes may be on their way at once. After a restart of many
 * proxies all want one: sent together they would fill the memory, and each
 * would come late; one after another the first is served while others wait.
 */
export class PushGate {
  readonly #places: number
  readonly #patienceMs: number
  readonly #waiting: (() => void)[] = []
  #taken = 0

  constructor(places: number, patienceMs: number) {
    this.#places = places
    this.#patienceMs = patienceMs
  }

  /**
   * Resolves with the function that gives the place back, in the order of
   * asking. A client that takes longer than the patience to read keeps what it
   * is being sent but holds up nobody any more.
   */
  async enter(): Promise<() => void> {
    if (this.#taken < this.#places) this.#taken++
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    let isMine = true
    const leave = () => {
      clearTimeout(timer)
      if (isMine) this.#next()
      isMine = false
    }
    const timer = setTimeout(leave, this.#patienceMs)
    timer.unref()
    return leave
  }

  /** Hands a place on, or puts it back. */
  #next(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#taken--
    else next()
  }
}
