import { readFileSync } from 'node:fs'
import type { MeshLab } from '../../src/lab/mesh-lab.ts'

/** The access log of one of a lab's proxies so far, with every field as written. */
export function accessLines(lab: MeshLab, proxy: string): readonly Readonly<Record<string, unknown>>[] {
  const text = readFileSync(lab.component(proxy).logFile, 'utf8')
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line.startsWith('{') && line.includes('"scope":"access"'))
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}
