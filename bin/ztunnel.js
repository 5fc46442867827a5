#!/usr/bin/env node
// Starts the TypeScript sources of a checkout as they are, or the compiled
// package. Plain JavaScript without imports from either, so that a too old
// Node gets a sentence instead of a syntax error.
import { existsSync, statSync } from 'node:fs'
import { enableCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'

const NODE_MAJOR = 24

const major = Number(process.versions.node.split('.')[0])
if (major < NODE_MAJOR) {
  process.stderr.write(
    `ztunnel needs Node ${NODE_MAJOR} or newer, this is ${process.version} (${process.execPath}).\n` +
      'In a checkout, `npm ci` installs the pinned runtime: use `npx ztunnel …` or `npm run lab`.\n',
  )
  process.exit(1)
}

const source = new URL('../src/main.ts', import.meta.url)
const fromSource = existsSync(source)
if (fromSource) cacheStripped(new URL('../node_modules/', import.meta.url))
const { main } = await import(fromSource ? source.href : new URL('../dist/main.js', import.meta.url).href)
await main(process.argv)

/**
 * Keeps the sources without their types for the next start, which then needs
 * no TypeScript parser: 40 MB of memory and most of the time. Not for another
 * user than the owner of the folder, who could not delete the files again.
 */
function cacheStripped(modules) {
  const owner = statSync(modules, { throwIfNoEntry: false })?.uid
  if (owner === process.geteuid?.()) enableCompileCache(fileURLToPath(new URL('.cache/ztunnel', modules)))
}
