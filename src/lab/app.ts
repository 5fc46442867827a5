import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** A program of `apps/`: the source in a checkout, the compiled one in the package. */
export function appProgram(name: 'client' | 'server'): string {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  return fileURLToPath(new URL(`./apps/${name}.${extension}`, import.meta.url))
}

/** `bin/ztunnel.js`, beside `src` and `dist` alike. */
export function ztunnelProgram(): string {
  return fileURLToPath(new URL('../../bin/ztunnel.js', import.meta.url))
}

/** The lab's manifests, `labs/coexistence`. */
export function defaultManifests(): string {
  return fileURLToPath(new URL('../../labs/coexistence', import.meta.url))
}

/** The examples that come with the lab, `examples`; those about policies are in `policies` within it. */
export function examplesFolder(): string {
  return fileURLToPath(new URL('../../examples', import.meta.url))
}

/**
 * Where Node keeps compiled code (NODE_COMPILE_CACHE): it halves the start of
 * the lab's processes from the second time on. Beside the dependencies, so
 * that it goes when they go; where that cannot be written, Node does without.
 */
export function compileCache(): string {
  const folder = fileURLToPath(new URL('../../node_modules/.cache/ztunnel-compile', import.meta.url))
  try {
    mkdirSync(folder, { recursive: true })
  } catch {
    return ''
  }
  return folder
}
