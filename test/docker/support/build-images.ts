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
/** Envoy, with what makes a sidecar of it. */
export const ENVOY_IMAGE = `${IMAGE}-envoy`

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
/** Certificates that this machine trusts: its ways to npm's registry and Python's index may need them. */
const TRUSTED = '/etc/ssl/certs/ca-certificates.crt'

/**
 * Builds the images by the Dockerfile as it is and saves them in a file of `directory`, for an engine that has no
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
    const pip = join(directory, 'python-image')
    writePythonImage(pip)
    docker('build', '--network=host', '-t', 'test-python', pip)
    const images = { BASE: 'test-base', BUILD: 'test-build', PYTHON: 'test-python' }
    const args = Object.entries(images).map(([name, image]) => `--build-arg=${name}=${image}`)
    docker('build', '--network=host', ...args, '--target=app', '-t', APP_IMAGE, ROOT)
    docker('build', '--network=host', ...args, '--target=envoy', '-t', ENVOY_IMAGE, ROOT)
    docker('build', '--network=host', ...args, '-t', IMAGE, ROOT)
    const saved = join(directory, 'images.tar')
    docker('save', '-o', saved, IMAGE, APP_IMAGE, ENVOY_IMAGE)
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
  writeContext(context, lines, ['NODE_EXTRA_CA_CERTS', 'NPM_CONFIG_CAFILE'])
}

/** Stands in for the image `python`: the base with Debian's pip, which asks the index that this machine's asks. */
function writePythonImage(context: string): void {
  mkdirSync(context)
  const index = spawnSync('python3', ['-m', 'pip', 'config', 'get', 'global.index-url'], { encoding: 'utf8' })
  const url = process.env['PIP_INDEX_URL'] ?? index.stdout?.trim()
  const lines = [
    'FROM test-base',
    'RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-pip > /dev/null',
    ...(url ? [`ENV PIP_INDEX_URL=${url}`] : []),
  ]
  writeContext(context, lines, ['PIP_CERT'])
}

/** The Dockerfile of `lines`; `variables` tell a program where the certificates are that this machine trusts. */
function writeContext(context: string, lines: readonly string[], variables: readonly string[]): void {
  const trusting: string[] = []
  if (existsSync(TRUSTED)) {
    cpSync(realpathSync(TRUSTED), join(context, 'trusted.crt'))
    trusting.push(`COPY trusted.crt ${TRUSTED}`, ...variables.map((name) => `ENV ${name}=${TRUSTED}`))
  }
  writeFileSync(join(context, 'Dockerfile'), `${[...lines, ...trusting].join('\n')}\n`)
}

/** npm's own folder: that of the npm that runs this script, or else of the one on PATH. */
function npmFolder(): string {
  const running = process.env['npm_execpath']
  if (running?.endsWith('npm-cli.js') === true) return dirname(dirname(realpathSync(running)))
  const program = execFileSync('sh', ['-c', 'command -v npm'], { encoding: 'utf8' }).trim()
  return dirname(dirname(realpathSync(program)))
}
