import { execFileSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import type { Program } from '../programs.ts'
import { ProxyProcess } from '../proxy-process.ts'
import { APP_PORTS, type Credentials, HTTP_PORT, type Role, type Seat } from '../seat.ts'
import { type Peer, type StartOptions, startPair } from './peer.ts'
import { listens } from './ready.ts'

/**
 * Two haproxies with mutual TLS between them and nothing else: no HTTP/2, no
 * pool, no policy, no mesh. Each connection is one of TLS; the client keeps
 * sessions, as is its default, so that most handshakes are resumed, except in
 * `cold`.
 */
export function haproxy({ path, env }: Program): Peer {
  const version = /version (\S+?)[-~ ]/.exec(
    execFileSync(path, ['-v'], { encoding: 'utf8', env: { ...process.env, ...env } }),
  )?.[1]
  return {
    name: 'haproxy',
    title: `haproxy ${version ?? ''}`.trim(),
    captured: false,
    tunnel: 'tls',
    tunnelPort: tunnelPort(HTTP_PORT),
    variants: ['normal', 'cold'],
    prepare: async (seat) => {
      for (const port of APP_PORTS) await seat.redirect(port, localPort(port))
    },
    start: (seat, options) =>
      startPair(async (role) => {
        const file = seat.file(`haproxy-${role}.cfg`)
        await writeFile(file, config(seat, role, await seat.credentials(role), options))
        const process = ProxyProcess.start({
          name: `haproxy ${role}`,
          namespace: seat.pod(role),
          program: path,
          argv: ['-db', '-f', file],
          env,
          logFile: seat.logFile(role),
        })
        const ports = APP_PORTS.map(role === 'in' ? tunnelPort : localPort)
        return { process, ready: process.until(() => listens(seat.pod(role), ports), 'listening') }
      }),
  }
}

function config(
  seat: Seat,
  role: Role,
  credentials: Credentials,
  { variant, threads }: StartOptions,
): string {
  const tls = `verify required ca-file ${credentials.roots} ssl-min-ver TLSv1.3`
  const proxies = APP_PORTS.map((port) => {
    const [bind, server] =
      role === 'out'
        ? [
            `127.0.0.1:${localPort(port)}`,
            `${seat.address}:${tunnelPort(port)} ssl ${tls} crt ${credentials.both}${variant === 'cold' ? ' no-ssl-reuse' : ''}`,
          ]
        : [`0.0.0.0:${tunnelPort(port)} ssl ${tls} crt ${credentials.both}`, `127.0.0.1:${port}`]
    return `listen port-${port}\n  bind ${bind}\n  server next ${server}\n`
  })
  // Of connections, as many as its descriptors allow: its own default for a frontend is less.
  return `global
${threads === undefined ? '' : `  nbthread ${threads}\n`}defaults
  mode tcp
  timeout connect 10s
  timeout client 1h
  timeout server 1h
${proxies.join('')}`
}

/** Beside the client. */
function localPort(port: number): number {
  return port - 1_000
}

/** Beside the server. */
function tunnelPort(port: number): number {
  return port - 2_000
}
