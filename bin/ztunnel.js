#!/usr/bin/env node
// Starts the TypeScript sources of a checkout as they are, or the compiled
// package. Plain JavaScript without imports from either, so that a too old
// Node gets a sentence instead of a syntax error.
import { existsSync } from 'node:fs'

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
const { main } = await import(
  existsSync(source) ? source.href : new URL('../dist/main.js', import.meta.url).href
)
await main(process.argv)
