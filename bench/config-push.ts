// What a mesh costs the config server: to load, to send to one new proxy, and
// to tell many connected proxies of one changed endpoint. The server and the
// proxies are processes of their own, over gRPC and TLS on loopback.
import { type ChildProcess, fork } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { ServerReport, ServerSettings, Usage } from './load/config-server.ts'
import { writeMesh } from './load/mesh.ts'
import type { ClientReport, ClientSettings } from './load/xds-clients.ts'

const { values } = parseArgs({
  options: {
    services: { type: 'string', default: '10000' },
    workloads: { type: 'string', default: '100000' },
    proxies: { type: 'string', default: '100' },
    changes: { type: 'string', default: '5' },
    /** Read the mesh from YAML instead of from memory. */
    folder: { type: 'boolean', default: false },
  },
})
const size = { services: Number(values.services), workloads: Number(values.workloads) }
const root = await mkdtemp(join(tmpdir(), 'ztunnel-bench-'))
const children: ChildProcess[] = []
try {
  await bench()
} finally {
  for (const child of children) child.kill()
  await rm(root, { recursive: true, force: true })
}

async function bench(): Promise<void> {
  const folders = { configDir: join(root, 'mesh'), certsDir: join(root, 'certs') }
  await Promise.all(Object.values(folders).map((folder) => mkdir(folder)))
  if (values.folder) await writeMesh(folders.configDir, size)
  const { certsDir } = folders
  const settings: ServerSettings = values.folder ? { ...size, ...folders } : { ...size, certsDir }
  const server = start<ServerReport>('config-server.ts', settings)
  const ready = await server.next('ready')
  const source = values.folder ? 'a folder of YAML' : 'objects in memory'
  print(`${size.services} services and ${size.workloads} workloads from ${source}`)
  print(`load: ${ms(ready.loadMs)}, ${memory(ready.usage)}, longest stall ${ms(ready.usage.stallMs)}`)

  const usage = async () => {
    server.child.send('usage')
    return (await server.next('usage')).usage
  }
  const { port, token, rootsPem } = ready
  const client: ClientSettings = { port, token, rootsPem }
  const before = await usage()
  const one = await start<ClientReport>('xds-clients.ts', client).next('synced')
  const after = await usage()
  print(
    `one new proxy: ${ms(one.ms)} from connecting to the mesh in force there, ${mb(one.bytes)} of resources`,
  )
  print(
    `  server: ${ms(after.cpuMs - before.cpuMs)} of CPU, longest stall ${ms(after.stallMs)}; proxy: ${one.rssMb.toFixed(0)} MB resident`,
  )

  const proxies = Number(values.proxies)
  const many = start<ClientReport>('xds-clients.ts', { ...client, light: proxies })
  const all = await many.next('synced')
  const synced = await usage()
  print(`${proxies} new proxies at once: ${ms(all.ms)} until the last has everything, ${mb(all.bytes)}`)
  print(
    `  server: ${ms(synced.cpuMs - after.cpuMs)} of CPU, ${memory(synced)}, longest stall ${ms(synced.stallMs)}`,
  )

  for (let round = 1; round <= Number(values.changes); round++) {
    const idle = await usage()
    const changed = many.next('changed')
    server.child.send(`moved-${round}`)
    const { at } = await server.next('changing')
    const seen = await changed
    const delays = seen.at.map((time) => time - at).sort((a, b) => a - b)
    const busy = await usage()
    print(
      `one endpoint changed: ${delays[0]} ms to the first, ${delays.at(-1)} ms to the last of ${proxies}, ${seen.bytes} bytes;` +
        ` server: ${ms(busy.cpuMs - idle.cpuMs)} of CPU, longest stall ${ms(busy.stallMs)}`,
    )
  }
  const end = await usage()
  print(`at the end: ${memory(end)}`)
}

interface Started<R extends { readonly kind: string }> {
  readonly child: ChildProcess
  /** The next report of a kind. */
  next<K extends R['kind']>(kind: K): Promise<Extract<R, { kind: K }>>
}

function start<R extends { readonly kind: string }>(program: string, settings: object): Started<R> {
  const child = fork(join(import.meta.dirname, 'load', program), [JSON.stringify(settings)])
  children.push(child)
  return {
    child,
    next: (kind) =>
      new Promise((resolve, reject) => {
        const exited = () => reject(new Error(`${program} ended before it was ${kind}`))
        const listener = (message: unknown) => {
          if (!isKind<R, typeof kind>(message, kind)) return
          child.off('message', listener)
          child.off('exit', exited)
          resolve(message)
        }
        child.on('message', listener)
        child.once('exit', exited)
      }),
  }
}

function isKind<R extends { readonly kind: string }, K extends R['kind']>(
  message: unknown,
  kind: K,
): message is Extract<R, { kind: K }> {
  return typeof message === 'object' && message !== null && 'kind' in message && message.kind === kind
}

function ms(milliseconds: number): string {
  return `${milliseconds.toFixed(0)} ms`
}

function mb(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(1)} MB`
}

function memory({ rssMb, heapMb, buffersMb }: Usage): string {
  return `${rssMb.toFixed(0)} MB resident (heap ${heapMb.toFixed(0)} MB, buffers ${buffersMb.toFixed(0)} MB)`
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
