import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, realpathSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** Of the image that {@link writeRootFileSystem} makes. */
export const BASE_IMAGE = 'ztunnel-test-base'

/** What is in it besides Node and the two programs of this folder: enough to wait and to look around. */
const PROGRAMS = ['sh', 'sleep', 'cat', 'ip']
/** Loaded by name when it is needed, so that `ldd` does not know of them. */
const NAME_SERVICE = ['libnss_dns.so.2', 'libnss_files.so.2']

/** Writes a root file system of this machine's own Node and a few programs: no image can be pulled everywhere. */
export function writeRootFileSystem(root: string): void {
  for (const folder of ['bin', 'etc', 'proc', 'sys', 'dev', 'tmp', 'run', 'usr/bin']) {
    mkdirSync(join(root, folder), { recursive: true })
  }
  install(root, process.execPath, 'usr/bin/node')
  for (const program of PROGRAMS) install(root, find(program), `bin/${program}`)
  for (const library of NAME_SERVICE) {
    const path = join(dirname(libraryOf(process.execPath, 'libc.so.6')), library)
    if (existsSync(path)) copy(root, path, path)
  }
  writeFileSync(join(root, 'etc/nsswitch.conf'), 'hosts: files dns\n')
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/:/bin/sh\n')
  for (const program of ['server.ts', 'client.ts']) {
    cpSync(join(import.meta.dirname, 'image', program), join(root, program))
  }
}

function install(root: string, program: string, to: string): void {
  copy(root, program, to)
  for (const library of librariesOf(program)) copy(root, library, library)
}

function copy(root: string, from: string, to: string): void {
  const target = join(root, to)
  if (existsSync(target)) return
  mkdirSync(dirname(target), { recursive: true })
  cpSync(realpathSync(from), target)
}

function librariesOf(program: string): readonly string[] {
  const listed = execFileSync('ldd', [realpathSync(program)], { encoding: 'utf8' })
  return [...listed.matchAll(/(?:=> |^\s+)(\/\S+)/gm)].map(([, path = '']) => path)
}

function libraryOf(program: string, name: string): string {
  return librariesOf(program).find((path) => basename(path) === name) ?? '/lib'
}

function find(program: string): string {
  const found = ['/bin', '/usr/bin', '/sbin', '/usr/sbin']
    .map((folder) => join(folder, program))
    .find(existsSync)
  if (found === undefined) throw new Error(`there is no ${program} on this machine`)
  return found
}
