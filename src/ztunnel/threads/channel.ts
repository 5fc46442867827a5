/** The end of a MessagePort, or the Worker that stands for one. */
export interface Port {
  postMessage(message: unknown): void
  on(event: 'message', listener: (message: unknown) => void): unknown
}

/** What one side can be asked for: functions with arguments and answers that a structured clone can carry. */
export type Calls<Api> = { readonly [Name in keyof Api]: (...args: never[]) => unknown }

/** The same on the side that answers, at once or later. */
export type Answers<Api extends Calls<Api>> = {
  readonly [Name in keyof Api]: (
    ...args: Parameters<Api[Name]>
  ) => ReturnType<Api[Name]> | Promise<Awaited<ReturnType<Api[Name]>>>
}

/** The other thread has ended before it could answer. */
export class ThreadGone extends Error {
  constructor(options?: ErrorOptions) {
    super('the worker thread has ended', options)
    this.name = 'ThreadGone'
  }
}

/** As posted: a call with the number under which it is to be answered (0: not at all), or an answer. */
type Message =
  | { readonly call: string; readonly args: readonly unknown[]; readonly id: number }
  | { readonly answer: number; readonly value: unknown }
  | { readonly answer: number; readonly error: string }

interface Waiter {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

/**
 * Calls between two threads. What one side posts is dealt with on the other in that order, answers included: whoever
 * has an answer has everything that was told before it.
 */
export class Channel<Remote extends Calls<Remote>, Local extends Calls<Local>> {
  readonly #port: Port
  readonly #answers: Answers<Local>
  readonly #slow: ReadonlySet<keyof Local>
  readonly #waiting = new Map<number, Waiter>()
  readonly #arrived: Message[] = []
  #paused = false
  #lastId = 0
  #gone: ThreadGone | undefined

  /** @param slow calls after which the event loop gets its turn before the next message. */
  constructor(port: Port, answers: Answers<Local>, slow: readonly (keyof Local)[] = []) {
    this.#port = port
    this.#answers = answers
    this.#slow = new Set(slow)
    port.on('message', (message) => {
      this.#arrived.push(message as Message)
      if (!this.#paused) this.#work()
    })
  }

  /** Rejects with the text of the other side's error, or with ThreadGone. */
  call<Name extends keyof Remote & string>(
    name: Name,
    ...args: Parameters<Remote[Name]>
  ): Promise<Awaited<ReturnType<Remote[Name]>>> {
    if (this.#gone !== undefined) return Promise.reject(this.#gone)
    const id = ++this.#lastId
    return new Promise((resolve, reject) => {
      // The other side's answer to `name`: its type is that of the api which both sides share.
      const settle = (value: unknown): void => resolve(value as Awaited<ReturnType<Remote[Name]>>)
      this.#waiting.set(id, { resolve: settle, reject })
      this.#post({ call: name, args, id })
    })
  }

  /** Calls without waiting for what comes of it. */
  tell<Name extends keyof Remote & string>(name: Name, ...args: Parameters<Remote[Name]>): void {
    if (this.#gone === undefined) this.#post({ call: name, args, id: 0 })
  }

  /** The other thread has ended. */
  gone(cause?: unknown): void {
    this.#gone = new ThreadGone({ cause })
    for (const { reject } of this.#waiting.values()) reject(this.#gone)
    this.#waiting.clear()
  }

  #work(): void {
    for (;;) {
      const message = this.#arrived.shift()
      if (message === undefined) return
      this.#handle(message)
      if (!('call' in message) || !this.#slow.has(message.call as keyof Local)) continue
      this.#paused = true
      setImmediate(() => {
        this.#paused = false
        this.#work()
      })
      return
    }
  }

  #handle(message: Message): void {
    if ('call' in message) return void this.#answer(message)
    const waiter = this.#waiting.get(message.answer)
    this.#waiting.delete(message.answer)
    if ('error' in message) waiter?.reject(new Error(message.error))
    else waiter?.resolve(message.value)
  }

  async #answer({ call, args, id }: Extract<Message, { call: string }>): Promise<void> {
    const name = call as keyof Local
    // What nobody waits for must not fail in silence: as an unhandled rejection it ends the thread, to be replaced.
    if (id === 0) return void (await this.#answers[name](...(args as Parameters<Local[typeof name]>)))
    try {
      this.#post({
        answer: id,
        value: await this.#answers[name](...(args as Parameters<Local[typeof name]>)),
      })
    } catch (error) {
      this.#post({ answer: id, error: error instanceof Error ? error.message : String(error) })
    }
  }

  #post(message: Message): void {
    if (this.#gone === undefined) this.#port.postMessage(message)
  }
}
