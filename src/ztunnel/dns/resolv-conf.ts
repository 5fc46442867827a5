import { isAddress } from '../../mesh/index.ts'

/** What resolv.conf(5) says that a forwarder needs. */
export interface ResolvConf {
  /** At most three, as everywhere. */
  readonly nameservers: readonly string[]
  /** In lower case, without dots at their ends. */
  readonly search: readonly string[]
  /** How long one round through the name servers may take. */
  readonly timeoutMs: number
  /** Rounds. */
  readonly attempts: number
  /** `use-vc`: TCP only. */
  readonly tcpOnly: boolean
}

/** The name servers in force. Changes of the file are followed. */
export interface ResolvConfSource {
  current(): ResolvConf
}

export interface ResolvConfSourceOptions {
  /** Default: the proxy's own /etc/resolv.conf. Throws when there is none. */
  readonly read: () => string
  /** Milliseconds that never go backwards. */
  readonly now: () => number
}

/** Limits of resolv.conf(5): MAXNS, RES_MAXRETRANS, RES_MAXRETRY. */
const MAX_NAMESERVERS = 3
const MAX_TIMEOUT_SECONDS = 30
const MAX_ATTEMPTS = 5
/** glibc has no limit any more and had six; each domain costs every question some look-ups. */
const MAX_SEARCH_DOMAINS = 32

/** resolv.conf(5). */
const DEFAULT_TIMEOUT_SECONDS = 5
const DEFAULT_ATTEMPTS = 2

/** A changed file is seen after so long; a laptop that moves to another network needs no restart. */
const REREAD_MS = 5_000

/** Reads the text of a resolv.conf. What it does not know it passes over, as resolvers do. */
export function parseResolvConf(text: string): ResolvConf {
  const nameservers: string[] = []
  let search: string[] = []
  const options = new Map<string, string>()
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line
      .replace(/[#;].*/, '')
      .trim()
      .split(/\s+/)
    if (keyword === 'nameserver') nameservers.push(...values.slice(0, 1))
    // The last one counts (resolv.conf(5)).
    else if (keyword === 'search' || keyword === 'domain') search = values
    else if (keyword === 'options') {
      for (const option of values) {
        const [name = '', value = ''] = option.split(':')
        options.set(name, value)
      }
    }
  }
  return {
    // A zone (fe80::1%eth0) names a link of the node, and we ask from the pod.
    nameservers: nameservers
      .filter((address) => isAddress(address) && !address.includes('%'))
      .slice(0, MAX_NAMESERVERS),
    search: search
      .map((domain) => domain.toLowerCase().replace(/^\.|\.$/g, ''))
      .filter(Boolean)
      .slice(0, MAX_SEARCH_DOMAINS),
    timeoutMs: whole(options.get('timeout'), DEFAULT_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS) * 1000,
    attempts: whole(options.get('attempts'), DEFAULT_ATTEMPTS, MAX_ATTEMPTS),
    tcpOnly: options.has('use-vc'),
  }
}

/** Reads the file when it is first needed and again when that was a while ago. */
export function watchResolvConf({ read, now }: ResolvConfSourceOptions): ResolvConfSource {
  let known: ResolvConf | undefined
  let readAt = Number.NEGATIVE_INFINITY
  return {
    current() {
      if (known !== undefined && now() - readAt < REREAD_MS) return known
      readAt = now()
      try {
        known = parseResolvConf(read())
      } catch {
        // While it is being replaced there is none: what was known goes on.
        known ??= parseResolvConf('')
      }
      return known
    },
  }
}

function whole(text: string | undefined, defaultValue: number, max: number): number {
  if (text === undefined || !/^\d+$/.test(text)) return defaultValue
  return Math.min(max, Math.max(1, Number(text)))
}
