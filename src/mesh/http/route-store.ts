import { type RouteChanges, RouteTable } from './route-table.ts'

/** The routes in force. Each change puts another table in place; a request may keep the one that it began with. */
export class RouteStore {
  #table = RouteTable.EMPTY

  get table(): RouteTable {
    return this.#table
  }

  apply(changes: RouteChanges): void {
    if (changes.upserts.length === 0 && changes.removals.length === 0) return
    this.#table = this.#table.with(changes)
  }
}
