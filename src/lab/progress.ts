import type { LabProgress } from './mesh-lab.ts'
import type { Scenario } from './scenario.ts'
import { formatMilliseconds, type Palette } from './terminal.ts'

/** Where progress is shown: on a terminal the current step is rewritten in place. */
export interface ProgressOutput {
  readonly isTTY?: boolean
  write(text: string): unknown
}

/** Tells what a starting lab is at, with the time that each phase took. */
export class Progress {
  readonly #output: ProgressOutput
  readonly #palette: Palette
  #transient = false
  #connections = 0

  constructor(output: ProgressOutput, palette: Palette) {
    this.#output = output
    this.#palette = palette
  }

  show(event: LabProgress): void {
    if (event.kind === 'phase') {
      this.#line(`${event.what} ${this.#palette.dim(`(${formatMilliseconds(event.milliseconds)})`)}`)
    } else {
      this.#status(`${event.ready}/${event.total} processes ready, last: ${event.component}`)
    }
  }

  connection(scenario: Scenario): void {
    this.#connections += 1
    this.#status(`${this.#connections} connections made, last: ${scenario.from} → ${scenario.target.to}`)
  }

  done(milliseconds: number): void {
    this.#line(`${this.#connections} connections made; ${formatMilliseconds(milliseconds)} in all`)
  }

  /** A line that stays. */
  #line(text: string): void {
    this.#output.write(`${this.#erase()}${text}\n`)
    this.#transient = false
  }

  /** A line that the next one replaces; nothing where that cannot be. */
  #status(text: string): void {
    if (this.#output.isTTY !== true) return
    this.#output.write(`${this.#erase()}${this.#palette.dim(text)}`)
    this.#transient = true
  }

  #erase(): string {
    return this.#transient ? '\r\x1b[K' : ''
  }
}
