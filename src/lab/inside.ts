import { once } from 'node:events'
import { existsSync, mkdirSync, readlinkSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { runCommand } from './command.ts'
import { LabError } from './errors.ts'
import { type LabOptions, type MeshLab, startLab } from './mesh-lab.ts'
import { exampleConnections, ownConnections } from './plan.ts'
import { Progress } from './progress.ts'
import { rejection } from './rejection.ts'
import { formatGuide, formatRecord, formatRequest } from './report.ts'
import { EXAMPLE_FOLDER } from './run-examples.ts'
import { LIFELINE_FD, SANDBOX_VARIABLE, type SandboxEnvironment } from './sandbox.ts'
import { type Palette, paletteFor } from './terminal.ts'

/** How `ztunnel lab` was called. */
export interface LabCall extends Pick<LabOptions, 'manifests' | 'svidTtl'> {
  /** End after the connections, with an exit status. */
  readonly once: boolean
  readonly json: boolean
  /** Examples to run, folders or names, in place of the lab's own connections. */
  readonly examples: readonly string[]
}

/** Title of the inner process, by which `ztunnel lab exec` finds it; the lab's folder follows. */
export const PROCESS_TITLE = 'ztunnel-lab'

/**
 * The lab itself, as the inner process of the sandbox. Resolves with the exit
 * status: 0 when every connection came out as expected.
 */
export async function runInside(environment: SandboxEnvironment, call: LabCall): Promise<number> {
  const stopped = watchLifeline()
  // Children must not take themselves for the inner process.
  delete process.env[SANDBOX_VARIABLE]
  process.title = `${PROCESS_TITLE} ${environment.folder}`
  // A reader that is gone is no news: the lifeline has told by then.
  for (const output of [process.stdout, process.stderr]) output.on('error', () => undefined)
  try {
    const hostPid = await furnish(environment.folder)
    return await run(environment, call, hostPid, stopped)
  } catch (error) {
    if (!stopped.aborted) throw error
    return INTERRUPTED_STATUS
  } finally {
    // The outer process does the same, if it still lives.
    await rm(environment.folder, { recursive: true, force: true })
  }
}

async function run(
  { folder, ownsProcesses, envoy }: SandboxEnvironment,
  call: LabCall,
  hostPid: number,
  stopped: AbortSignal,
): Promise<number> {
  const palette = paletteFor({ isTTY: process.stdout.isTTY === true, noColor: process.env['NO_COLOR'] })
  const progress = new Progress(call.json ? process.stderr : process.stdout, palette)
  const began = performance.now()
  const plan = call.examples.length === 0 ? ownConnections(call) : await exampleConnections(call)
  const lab = await startLab({
    ...plan.options,
    ...(call.svidTtl === undefined ? {} : { svidTtl: call.svidTtl }),
    ...(envoy === undefined ? {} : { envoy }),
    folders: { visible: folder, secret: SECRET_FOLDER },
    onProgress: (event) => progress.show(event),
    signal: stopped,
  })
  const startMilliseconds = performance.now() - began
  try {
    const making = plan.make(lab, (scenario) => progress.connection(scenario), stopped)
    const result = await Promise.race([making, rejection(stopped)])
    progress.done(performance.now() - began)
    if (call.json) print(process.stdout, [JSON.stringify(result.toJson(startMilliseconds), undefined, 2)])
    else print(process.stdout, result.lines(palette, process.stdout.columns))
    if (!call.once) await stayUp(lab, call, palette, hostPid, stopped)
    return result.asExpected ? 0 : 1
  } finally {
    // With a process namespace the kernel does the same the moment that this process ends, and faster.
    if (!ownsProcesses) await lab.close()
  }
}

/** Shows what the user's own connections did until there is nobody to show it to. */
async function stayUp(
  lab: MeshLab,
  call: LabCall,
  palette: Palette,
  hostPid: number,
  stopped: AbortSignal,
): Promise<void> {
  const out = call.json ? process.stderr : process.stdout
  const up = 'The mesh is up. Your connections show here; Ctrl-C ends it and removes everything.'
  const policies = call.examples.length === 0 ? undefined : `${EXAMPLE_FOLDER}/*.yaml`
  print(out, ['', ...formatGuide(lab, hostPid, palette, policies), '', palette.bold(up)])
  const stop = lab.journal.watch((record) =>
    print(out, ['status' in record ? formatRequest(record, palette) : formatRecord(record, palette)]),
  )
  for (const component of lab.components) {
    void component.exited.then(() =>
      print(out, [palette.bad(`${component.name} ended; see ${component.logFile}`)]),
    )
  }
  if (!stopped.aborted) await once(stopped, 'abort')
  stop()
}

/**
 * Makes the namespaces livable: a /run of our own for `ip netns` and for
 * iptables' lock, a /proc of our own processes, the lab's names in /etc/hosts.
 * Returns this process's number outside, which /proc still tells before.
 */
async function furnish(folder: string): Promise<number> {
  const hostPid = Number(readlinkSync('/proc/self'))
  const hosts = join(folder, 'hosts')
  writeFileSync(hosts, '')
  const script = [
    'mount -t tmpfs -o mode=755 tmpfs /run',
    // Refused in a container; the old one does, apart from its numbers.
    'mount -t proc -o nosuid,nodev,noexec proc /proc 2>/dev/null || true',
    ...(existsSync('/etc/hosts') ? ['mount --bind "$0" /etc/hosts'] : []),
    'ip link set lo up',
  ]
  await runCommand('sh', ['-ec', script.join('\n'), hosts])
  mkdirSync(SECRET_FOLDER, { mode: 0o700 })
  return hostPid
}

/** Fires when the outer process closes its end, by will or by dying. */
function watchLifeline(): AbortSignal {
  const stopped = new AbortController()
  const lifeline = new Socket({ fd: LIFELINE_FD, readable: true, writable: false })
  const gone = (): void => {
    // Should anything hold up the orderly end, nobody is left to force it.
    setTimeout(() => process.exit(INTERRUPTED_STATUS), FORCE_AFTER_MS).unref()
    stopped.abort(new LabError('interrupted', 'interrupted'))
  }
  lifeline.once('end', gone)
  lifeline.once('error', gone)
  lifeline.resume()
  return stopped.signal
}

function print(output: NodeJS.WritableStream, lines: readonly string[]): void {
  output.write(`${lines.join('\n')}\n`)
}

/** On the private /run, so that keys and tokens are never on a disk. */
const SECRET_FOLDER = '/run/ztunnel-lab'
/** As a shell reports a program that Ctrl-C ended. */
const INTERRUPTED_STATUS = 130
const FORCE_AFTER_MS = 5_000
