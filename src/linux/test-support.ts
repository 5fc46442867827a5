import { execFileSync } from 'node:child_process'
import { NetworkNamespace } from './netns.ts'

/** Two network namespaces joined by a virtual cable, for tests: `client` 10.99.0.1, fd99::1 and `pod` 10.99.0.2, fd99::2. */
export interface NamespacePair {
  readonly client: NetworkNamespace
  readonly pod: NetworkNamespace
  readonly clientName: string
  readonly podName: string
  readonly clientAddress: string
  readonly podAddress: string
  close(): void
}

/** Makes a named namespace with its loopback up. Needs CAP_SYS_ADMIN and a private `/run`. */
export function addNamespace(name: string): NetworkNamespace {
  ip('netns', 'add', name)
  ip('-n', name, 'link', 'set', 'lo', 'up')
  return NetworkNamespace.open(`/run/netns/${name}`)
}

/** Makes the pair; `prefix` keeps the names of one test apart from another's. */
export function namespacePair(prefix: string): NamespacePair {
  const [clientName, podName] = [`${prefix}-client`, `${prefix}-pod`]
  const client = addNamespace(clientName)
  const pod = addNamespace(podName)
  ip('-n', clientName, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', podName)
  for (const [name, host] of [
    [clientName, 1],
    [podName, 2],
  ] as const) {
    ip('-n', name, 'addr', 'add', `10.99.0.${host}/24`, 'dev', 'eth0')
    // nodad: duplicate address detection would take a second.
    ip('-n', name, 'addr', 'add', `fd99::${host}/64`, 'dev', 'eth0', 'nodad')
    ip('-n', name, 'link', 'set', 'eth0', 'up')
    ip('-n', name, 'route', 'add', 'default', 'dev', 'eth0')
    ip('-n', name, '-6', 'route', 'add', 'default', 'dev', 'eth0')
  }
  return {
    client,
    pod,
    clientName,
    podName,
    clientAddress: '10.99.0.1',
    podAddress: '10.99.0.2',
    close: () => {
      client.close()
      pod.close()
      ip('netns', 'del', clientName)
      ip('netns', 'del', podName)
    },
  }
}

/** Runs `ip` and returns what it printed. */
export function ip(...args: string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}
