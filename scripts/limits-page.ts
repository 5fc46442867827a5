import { globSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** A bound of the program: what it waits for, holds or sends at most. */
export interface Limit {
  readonly name: string
  /** Below `src`. */
  readonly file: string
  /** As written in the source. */
  readonly value: string
  readonly unit: string
  /** Its comment in the source: why it is what it is. Empty when there is none. */
  readonly reason: string
}

const ROOT = resolve(import.meta.dirname, '..')
export const LIMITS_PAGE = join(ROOT, 'docs/limits.md')

/**
 * A constant is a limit when its name says so: by its unit, or by one of these
 * words. `src/linux/constants.ts` has the kernel's numbers, `src/lab` is a
 * tool on the user's own machine, and `src/gen` is generated.
 */
const LIMIT_NAME =
  /(^|_)(MAX|MIN|LIMIT|BURST|RATE|BACKLOG|CONCURRENT|SLICE|ATTEMPTS|PROBES|PINGS|TIMEOUT|WINDOW)(_|$)|_(MS|SECONDS|BYTES|MB|CHARS|CHARACTERS|SIZE)$/
/** Sizes of wire formats and of types: nothing that one could set. */
const NO_LIMIT = /HEADER_BYTES$|ADDRESS_BYTES$|^IPV[46]_BYTES$|^FD_BYTES$|^DAY_MS$|^MAX_(U16|U32|PORT)$/
const LEFT_OUT = /^(lab|gen)\/|^linux\/constants\.ts$|\.test\.ts$|test-support\.ts$/

/** A top-level constant that is a number, with the lines above it. */
const CONSTANT =
  /^(?:export )?const ([A-Z][A-Z0-9_]*)(?:: number)? = ([-\d(][\d_\s*+/().a-zA-Z]*|[A-Z][A-Z0-9_]* \* [\d_ *]+)$/

/** Units by the ending of the name; a doc comment may name another one. */
const UNITS: readonly (readonly [RegExp, string])[] = [
  [/_MS$/, 'ms'],
  [/_SECONDS$/, 's'],
  [/_BYTES$|_SIZE$|_WINDOW$/, 'bytes'],
  [/_MB$/, 'MB'],
  [/_CHARS$|_CHARACTERS$|_LENGTH$|_QUOTED$/, 'characters'],
  [/_BITS$/, 'bits'],
  [/_RATE$/, 'per second'],
]

/** Every limit in the sources, by file and then in the order of the file. */
export function findLimits(): readonly Limit[] {
  return globSync('**/*.ts', { cwd: join(ROOT, 'src') })
    .filter((file) => !LEFT_OUT.test(file))
    .toSorted()
    .flatMap((file) => limitsOf(file, readFileSync(join(ROOT, 'src', file), 'utf8')))
}

/** Exported for its test. */
export function limitsOf(file: string, text: string): readonly Limit[] {
  const found: Limit[] = []
  let comment: string[] = []
  let shared = ''
  for (const line of text.split('\n')) {
    const [, name, value] = CONSTANT.exec(line) ?? []
    if (/^(\/\*\*| \*|\/\/)/.test(line)) {
      comment.push(line)
    } else if (name !== undefined && value !== undefined) {
      // Constants that stand together share the comment above the first.
      shared = comment.length === 0 ? shared : plainText(comment)
      comment = []
      if (LIMIT_NAME.test(name) && !NO_LIMIT.test(name))
        found.push({ name, file, value, unit: unitOf(name), reason: shared })
    } else {
      comment = []
      shared = ''
    }
  }
  return found
}

/** The page: one table for each folder. */
export function renderLimits(limits: readonly Limit[]): string {
  const folders = Map.groupBy(limits, ({ file }) => file.split('/')[0] ?? '')
  const sections = [...folders].map(([folder, rows]) =>
    [
      `## ${folder}`,
      '',
      '| limit | value | unit | why | where |',
      '|---|---|---|---|---|',
      ...rows.map(
        ({ name, file, value, unit, reason }) =>
          `| \`${name}\` | ${value} | ${unit} | ${reason.replaceAll('|', '\\|')} | src/${file} |`,
      ),
      '',
    ].join('\n'),
  )
  return `${INTRODUCTION}\n${sections.join('\n')}`
}

const INTRODUCTION = `# Limits

Every bound of the program, from the sources: the name of a constant, its value and the comment above it, which says
why. Written by \`npm run limits\`; a test compares. What a peer can make us hold or wait for has a row here.

Those that an operator can set are set by environment variables; see \`src/ztunnel/config/model.ts\`, and
\`ZTUNNEL_MAX_CONNECTIONS_PER_WORKLOAD\` and \`ZTUNNEL_METRICS_MAX_LABEL_SETS\` for what one workload and what the metrics
may take of a proxy that is shared by all pods of a node.
`

function plainText(comment: readonly string[]): string {
  return comment
    .map((line) =>
      line
        .replace(/^\/\*\*|\*\/$|^ \*\/?|^\/\//g, '')
        .replace(/\*\/\s*$/, '')
        .trim(),
    )
    .filter((line) => line !== '')
    .join(' ')
}

function unitOf(name: string): string {
  return UNITS.find(([ending]) => ending.test(name))?.[1] ?? 'count'
}
