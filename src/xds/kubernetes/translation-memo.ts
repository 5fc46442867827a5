import type { KubernetesObject } from './objects.ts'
import { isSame } from './same-value.ts'
import type { TranslateContext, TranslateWarning } from './translate-context.ts'

/**
 * What each object was last translated to. The same object in the same
 * surroundings is not translated again: of 100,000 pods, those of one file
 * change at a time.
 */
export class TranslationMemo<O extends KubernetesObject, R> {
  readonly #known = new WeakMap<O, Known<R>>()

  /** `surroundings` is a token of `Surroundings`. Warnings are given each time. */
  translate(
    object: O,
    surroundings: object,
    context: TranslateContext,
    translate: (object: O, context: TranslateContext) => R,
  ): R {
    let known = this.#known.get(object)
    if (known?.surroundings !== surroundings) {
      const warnings: TranslateWarning[] = []
      const warn: TranslateContext['warn'] = (object, field, message, other) => {
        warnings.push({ object, field, message, ...(other && { other }) })
      }
      known = { surroundings, result: translate(object, { ...context, warn }), warnings }
      this.#known.set(object, known)
    }
    for (const { object, field, message, other } of known.warnings)
      context.warn(object, field, message, other)
    return known.result
  }
}

interface Known<R> {
  readonly surroundings: object
  readonly result: R
  readonly warnings: readonly TranslateWarning[]
}

/**
 * Resources by name, where one that says the same as before is the object that
 * it was before: whoever encodes them can tell by identity what did not change.
 */
export class KeptResources<R> {
  readonly #nameOf: (resource: R) => string
  #byName: ReadonlyMap<string, R> = new Map()

  constructor(nameOf: (resource: R) => string) {
    this.#nameOf = nameOf
  }

  keep(resources: readonly R[]): readonly R[] {
    const next = new Map<string, R>()
    const kept = resources.map((resource) => {
      const name = this.#nameOf(resource)
      const before = this.#byName.get(name)
      const same = before !== undefined && isSame(before, resource) ? before : resource
      next.set(name, same)
      return same
    })
    this.#byName = next
    return kept
  }
}
