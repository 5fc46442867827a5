import { readFile, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { examplesFolder } from './app.ts'
import { LabError } from './errors.ts'
import { type ExampleConnection, parseExample } from './example-file.ts'

/** Istio YAML for a mesh, and the connections that it must allow and deny. */
export interface Example {
  /** Its folder's name: `03-allow-namespace`. */
  readonly name: string
  /** The heading of its README, or its name. */
  readonly title: string
  /** Folder of the YAML that is applied; undefined where the mesh has all there is. */
  readonly manifests: string | undefined
  /** Folder of the mesh that it is applied to. */
  readonly mesh: string
  /** `…/connections.yaml`, for messages. */
  readonly file: string
  readonly connections: readonly ExampleConnection[]
}

/** In an example's folder. */
const CONNECTIONS_FILE = 'connections.yaml'
const MANIFESTS_FOLDER = 'istio'

/**
 * Reads an example: by its folder, or by the name of one that comes with the
 * lab. Rejects with LabError `bad-example`, which names file, line and field.
 */
export async function loadExample(nameOrFolder: string): Promise<Example> {
  const folder = await findFolder(nameOrFolder)
  const file = join(folder, CONNECTIONS_FILE)
  const { content, problems } = parseExample(file, await readFile(file, 'utf8'))
  if (content === undefined) throw new LabError('bad-example', problems.join('\n'))
  const manifests = join(folder, MANIFESTS_FOLDER)
  const example: Example = {
    name: basename(folder),
    title: await titleOf(folder),
    manifests: (await isFolder(manifests)) ? manifests : undefined,
    mesh: resolve(folder, content.mesh),
    file,
    connections: content.connections,
  }
  if (!(await isFolder(example.mesh)))
    throw new LabError('bad-example', `${file}: mesh must name a folder; there is none at ${example.mesh}`)
  return example
}

async function findFolder(nameOrFolder: string): Promise<string> {
  const own = examplesFolder()
  for (const parent of ['', own, join(own, 'policies')]) {
    const folder = resolve(parent, nameOrFolder)
    const file = await stat(join(folder, CONNECTIONS_FILE)).catch(() => undefined)
    if (file?.isFile() === true) return folder
  }
  throw new LabError(
    'bad-example',
    `${nameOrFolder} is no example: neither a folder with a ${CONNECTIONS_FILE} nor the name of one in ${own}`,
  )
}

async function titleOf(folder: string): Promise<string> {
  const readme = await readFile(join(folder, 'README.md'), 'utf8').catch(() => '')
  return /^# (.+)$/m.exec(readme)?.[1] ?? basename(folder)
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true
}
