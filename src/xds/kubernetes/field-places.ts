import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Document, LineCounter, parseAllDocuments } from 'yaml'
import { type Place, placeOf } from '../yaml-place.ts'
import type { ObjectPlace } from './folder.ts'
import { parseFieldPath } from './problem.ts'

interface Parsed {
  readonly documents: readonly Document[]
  readonly lines: LineCounter
}

/**
 * Where fields of objects stand. Reads the files again, those alone that are
 * asked for: whoever serves a mesh holds its objects, not its text.
 */
export class FieldPlaces {
  readonly #base: string
  readonly #files = new Map<string, Promise<Parsed | undefined>>()

  /** `base`: what the files' names are relative to. */
  constructor(base: string) {
    this.#base = base
  }

  /** The object's own place when the file has no such field, or is another one by now. */
  async find(object: ObjectPlace, field: string): Promise<ObjectPlace> {
    let reading = this.#files.get(object.file)
    if (reading === undefined) {
      reading = read(join(this.#base, object.file))
      this.#files.set(object.file, reading)
    }
    const parsed = await reading
    if (parsed === undefined || field === '') return object
    for (const document of parsed.documents) {
      const path = pathOf(object, document, parsed.lines)
      if (path === undefined) continue
      return { file: object.file, ...placeOf(document, [...path, ...parseFieldPath(field)], parsed.lines) }
    }
    return object
  }
}

async function read(path: string): Promise<Parsed | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  const lines = new LineCounter()
  const documents = parseAllDocuments(text, { lineCounter: lines, merge: true })
  return { documents: documents.filter((document) => 'contents' in document), lines }
}

/** The path of an object within a document: none, or that of a list's item. */
function pathOf(
  object: ObjectPlace,
  document: Document,
  lines: LineCounter,
): readonly PropertyKey[] | undefined {
  const stands = ({ line, column }: Place) => line === object.line && column === object.column
  if (stands(placeOf(document, [], lines))) return []
  for (let index = 0; document.hasIn(['items', index]); index++) {
    if (stands(placeOf(document, ['items', index], lines))) return ['items', index]
  }
  return undefined
}
