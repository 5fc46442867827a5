import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { startBareEngine } from './engine.ts'
import { installPrograms } from './install-engine.ts'

/** The image of all roles and the one of the applications. */
export const IMAGE = 'ztunnel-node'
export const APP_IMAGE = `${IMAGE}-app`

const ROOT = resolve(import.meta.dirname, '../../..')
const DEBIAN = 'bookworm'
const MIRROR = 'http://deb.debian.org/debian'
/** What `debian:bookworm-slim` does not have either. */
const NOT_IN_SLIM = [
  'usr/share/doc',
  'usr/share/man',
  'usr/share/info',
  'usr/share/locale',
  'var/cache/apt',
  'var/lib/apt/lists',
  'var/log',
]
/** The machine's own is what is built by, unchanged. */
const NO_NETWORK = ['--bridge=none', '--iptables=false', '--ip6tables=false', '--ip-forward=false']
/** Certificates that this machine trusts: its way to npm's registry may need them. */
const TRUSTED = '/etc/ssl/certs/ca-certificates.crt'

/**
 * Builds both images by the Dockerfile as it is and saves them in a file of `directory`, for an engine that has no
 * network to pull or build by. Needs a network itself, and changes nothing of the machine's.
 */
export async function buildImages(directory: string): Promise<string> {
  const rootFileSystem = debianRootFileSystem()
  const engine = await startBareEngine(NO_NETWORK)
  // Not by BuildKit, which is a program of its own that not every machine has.
  const env = { ...process.env, DOCKER_HOST: engine.host, DOCKER_BUILDKIT: '0' }
  try {
    const docker = (...args: readonly string[]): void => {
      const { status, stdout, stderr } = spawnSync('docker', args, { env, encoding: 'utf8' })
      if (status !== 0)
        throw new Error(`docker ${args.join(' ')}: ${stdout.slice(-3_000)}${stderr.slice(-1_000)}`)
    }
    docker('import', '--change', 'CMD ["bash"]', rootFileSystem, 'test-base')
    const context = join(directory, 'build-image')
    writeBuildImage(context)
    docker('build', '--network=host', '-t', 'test-build', context)
    const args = ['--build-arg=BASE=test-base', '--build-arg=BUILD=test-build']
    docker('build', '--network=host', ...args, '--target=app', '-t', APP_IMAGE, ROOT)
    docker('build', '--network=host', ...args, '-t', IMAGE, ROOT)
    const saved = join(directory, 'images.tar')
    docker('save', '-o', saved, IMAGE, APP_IMAGE)
    return saved
  } finally {
    await engine.stop()
  }
}

/** Made once, and kept outside of the repository. */
function debianRootFileSystem(): string {
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'ztunnel-node')
  const kept = join(cache, `debian-${DEBIAN}-${process.arch}.tar`)
  if (existsSync(kept)) return kept
  installPrograms({ debootstrap: 'debootstrap' })
  mkdirSync(cache, { recursive: true })
  const staging = mkdtempSync(join(tmpdir(), 'debian-'))
  try {
    const root = join(staging, 'root')
    const made = spawnSync('debootstrap', ['--variant=minbase', DEBIAN, root, MIRROR], { encoding: 'utf8' })
    if (made.status !== 0) {
      throw new Error(
        `debootstrap cannot make a base image from ${MIRROR}: ${made.stdout?.slice(-1_000)}${made.stderr}`,
      )
    }
    for (const folder of NOT_IN_SLIM) {
      rmSync(join(root, folder), { recursive: true, force: true })
      mkdirSync(join(root, folder), { recursive: true })
    }
    const tar = join(staging, 'root.tar')
    execFileSync('tar', ['-C', root, '-cf', tar, '.'])
    // In two steps: the cache may be on another file system, and another run may read there.
    cpSync(tar, `${kept}.${process.pid}`)
    renameSync(`${kept}.${process.pid}`, kept)
  } finally {
    rmSync(staging, { recursive: true, force: true })
  }
  return kept
}

/** Stands in for the image `node`: the base with this machine's Node and npm. */
function writeBuildImage(context: string): void {
  mkdirSync(context)
  cpSync(realpathSync(process.execPath), join(context, 'node'))
  cpSync(npmFolder(), join(context, 'npm'), { recursive: true })
  chmodSync(join(context, 'npm/bin/npm-cli.js'), 0o755)
  const registry = execFileSync('npm', ['config', 'get', 'registry'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const lines = [
    'FROM test-base',
    'RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends binutils libatomic1 > /dev/null',
    'COPY node /usr/local/bin/node',
    'COPY npm /usr/local/lib/node_modules/npm',
    'RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm',
    `ENV NPM_CONFIG_REGISTRY=${registry.trim()}`,
  ]
  if (existsSync(TRUSTED)) {
    cpSync(realpathSync(TRUSTED), join(context, 'trusted.crt'))
    lines.push(
      `COPY trusted.crt ${TRUSTED}`,
      `ENV NODE_EXTRA_CA_CERTS=${TRUSTED} NPM_CONFIG_CAFILE=${TRUSTED}`,
    )
  }
  writeFileSync(join(context, 'Dockerfile'), `${lines.join('\n')}\n`)
}

/** npm's own folder: that of the npm that runs this script, or else of the one on PATH. */
function npmFolder(): string {
  const running = process.env['npm_execpath']
  if (running?.endsWith('npm-cli.js') === true) return dirname(dirname(realpathSync(running)))
  const program = execFileSync('sh', ['-c', 'command -v npm'], { encoding: 'utf8' }).trim()
  return dirname(dirname(realpathSync(program)))
}
