import type { MeshLab } from './mesh-lab.ts'
import { WireObserver } from './wire-observer.ts'

/**
 * A wire observer in every node of a lab. To be kept for as long as connections
 * are made: the tunnels of early ones are used again by later ones, and only
 * who saw a tunnel begin can say that it began with TLS.
 */
export class NodeObservers implements Disposable {
  readonly #observers = new Map<string, WireObserver>()

  constructor(lab: MeshLab) {
    for (const { name } of lab.topology.nodes)
      this.#observers.set(name, new WireObserver(lab.network.namespace(name)))
  }

  /** Throws for a node that the lab does not have. */
  on(node: string): WireObserver {
    const observer = this.#observers.get(node)
    if (observer === undefined) throw new Error(`no observer on ${node}`)
    return observer
  }

  /** For good. */
  closeAllBut(node: string): void {
    for (const [name, observer] of this.#observers) if (name !== node) observer[Symbol.dispose]()
  }

  [Symbol.dispose](): void {
    for (const observer of this.#observers.values()) observer[Symbol.dispose]()
  }
}
