/** What to redirect in a pod's network namespace. */
export interface RedirectionOptions {
  /** TCP that the pod opens goes to port 15001. Default true. */
  readonly captureOutbound?: boolean
  /** Plaintext TCP to the pod goes to port 15006. Default true; `ambient.istio.io/bypass-inbound-capture` turns it off. */
  readonly captureInbound?: boolean
  /** DNS that the pod sends goes to port 15053. Default false: the proxy must answer it. */
  readonly dnsCapture?: boolean
  /**
   * IPv4 address of a name server on the pod's own loopback, as Docker's is (127.0.0.11). With `dnsCapture`, what the
   * pod asks there is captured and nothing else: that server's own questions leave from the pod too, and would come
   * round for ever. Default none (empty).
   */
  readonly localNameServer?: string
  /**
   * Also for IPv6, where the kernel has it. `if-possible`: do without where it cannot be done and no interface has a
   * global IPv6 address that traffic could go past the mesh with. Default false.
   */
  readonly ipv6?: boolean | 'if-possible'
  /** `SO_MARK` on every socket of the proxy, 12 bits. Default 0x539 (1337). */
  readonly packetMark?: number
  /** Connection mark of flows that the proxy opened towards the app, 12 bits. Default 0x111. */
  readonly connectionMark?: number
}

/** {@link RedirectionOptions} with its defaults filled in. */
export type EffectiveRedirection = Required<RedirectionOptions>

/** What differs between IPv4 and IPv6. */
export interface AddressFamilyRules {
  readonly name: 'IPv4' | 'IPv6'
  readonly iptables: 'iptables' | 'ip6tables'
  /** Option of `ip` that selects the family. */
  readonly ipOption: '-4' | '-6'
  readonly loopback: string
  /** What probes of the node come from: istio-cni translates kubelet's address to it, so that they are not captured. */
  readonly probe: string
  readonly everything: string
}

/** The chains of one iptables table: lines as `iptables-save` prints them, so that they can be compared with it. */
export interface TableRules {
  readonly table: 'mangle' | 'nat' | 'raw'
  /** Our chains, each with the built-in chain that jumps to it. */
  readonly chains: readonly {
    readonly name: string
    readonly from: string
    readonly rules: readonly string[]
    /** Ours must be asked before whatever else is in the built-in chain. */
    readonly first?: boolean
  }[]
}

/** Istio's chain names, so that the usual commands and tools find them. */
export const PREROUTING_CHAIN = 'ISTIO_PRERT'
export const OUTPUT_CHAIN = 'ISTIO_OUTPUT'
/** Routing table whose only route delivers everything locally. */
export const ROUTE_TABLE = 100
/** Before the main table (32766), after anything the pod's network plugin is likely to add. */
export const RULE_PREFERENCE = 32764
/** Tables that we ever write to, in the order written: capture, which is in nat, comes into force last. */
export const TABLES = ['mangle', 'raw', 'nat'] as const
/** Only these bits of a mark are ours. */
export const MARK_MASK = 0xfff

export const IPV4_RULES: AddressFamilyRules = {
  name: 'IPv4',
  iptables: 'iptables',
  ipOption: '-4',
  loopback: '127.0.0.1/32',
  probe: '169.254.7.127/32',
  everything: '0.0.0.0/0',
}

export const IPV6_RULES: AddressFamilyRules = {
  name: 'IPv6',
  iptables: 'ip6tables',
  ipOption: '-6',
  loopback: '::1/128',
  probe: 'fd16:9254:7127:1337:ffff:ffff:ffff:ffff/128',
  everything: '::/0',
}

const DEFAULT_PACKET_MARK = 0x539
const DEFAULT_CONNECTION_MARK = 0x111
const OUTBOUND_PORT = 15001
const INBOUND_PLAINTEXT_PORT = 15006
const INBOUND_HBONE_PORT = 15008
const DNS_PORT = 15053

/** Fills in the defaults. */
export function effectiveRedirection(options: RedirectionOptions): EffectiveRedirection {
  return {
    captureOutbound: options.captureOutbound ?? true,
    captureInbound: options.captureInbound ?? true,
    dnsCapture: options.dnsCapture ?? false,
    localNameServer: options.localNameServer ?? '',
    ipv6: options.ipv6 ?? false,
    packetMark: options.packetMark ?? DEFAULT_PACKET_MARK,
    connectionMark: options.connectionMark ?? DEFAULT_CONNECTION_MARK,
  }
}

/**
 * The rules that istio-cni (release 1.30, `cni/pkg/iptables`) writes into a pod, one table after the other and in its
 * order. A packet goes through them like this:
 *
 * - the app opens a connection → nat OUTPUT → REDIRECT 15001, where the proxy reads the original destination;
 * - somebody opens a plaintext connection to the pod → nat PREROUTING → REDIRECT 15006; HBONE (15008) is let through,
 *   the proxy listens there in the pod's own namespace;
 * - whatever the proxy sends carries its packet mark and is let through;
 * - the proxy opens a connection to the app, possibly from the client's address: it is remembered by a connection mark
 *   (mangle PREROUTING), the app's replies get it as their packet mark (mangle OUTPUT) and a routing rule for that mark
 *   delivers them on this machine although they are addressed to the far-away client.
 */
export function redirectionRules(
  family: AddressFamilyRules,
  options: EffectiveRedirection,
): readonly TableRules[] {
  const tables: TableRules[] = [mangleTable(options), natTable(family, options)]
  if (options.dnsCapture) tables.push(rawTable(family, options))
  return tables
}

/** The selector of the routing rule for the app's replies, as arguments of `ip rule add`. */
export function routingRule(options: EffectiveRedirection): readonly string[] {
  const mark = `${hex(options.connectionMark)}/${hex(MARK_MASK)}`
  return ['fwmark', mark, 'pref', String(RULE_PREFERENCE), 'lookup', String(ROUTE_TABLE)]
}

/** The route for the app's replies, as arguments of `ip route add`. */
export function localRoute(family: AddressFamilyRules): readonly string[] {
  return ['local', family.everything, 'dev', 'lo', 'table', String(ROUTE_TABLE)]
}

function mangleTable(options: EffectiveRedirection): TableRules {
  const fromProxy = `-m mark --mark ${hex(options.packetMark)}/${hex(MARK_MASK)}`
  const toProxy = `-m connmark --mark ${hex(options.connectionMark)}/${hex(MARK_MASK)}`
  const remember = `-j CONNMARK --set-xmark ${hex(options.connectionMark)}/${hex(MARK_MASK)}`
  const restore = '-j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff'
  return {
    table: 'mangle',
    chains: [
      { name: PREROUTING_CHAIN, from: 'PREROUTING', rules: [`${fromProxy} ${remember}`] },
      { name: OUTPUT_CHAIN, from: 'OUTPUT', rules: [`${toProxy} ${restore}`] },
    ],
  }
}

function natTable(family: AddressFamilyRules, options: EffectiveRedirection): TableRules {
  const { loopback, probe } = family
  const notFromProxy = `-m mark ! --mark ${hex(options.packetMark)}/${hex(MARK_MASK)}`
  const prerouting: string[] = []
  if (options.captureInbound) {
    prerouting.push(
      `-s ${probe} -p tcp -m tcp -j ACCEPT`,
      `! -d ${loopback} -p tcp -m tcp ! --dport ${INBOUND_HBONE_PORT} ${notFromProxy} ${redirect(INBOUND_PLAINTEXT_PORT)}`,
    )
  }
  const output: string[] = [`-d ${probe} -p tcp -m tcp -j ACCEPT`]
  const nameServer = localNameServerOf(family, options)
  if (nameServer !== undefined) {
    output.push(
      `-d ${nameServer} -m mark --mark ${hex(options.packetMark)}/${hex(MARK_MASK)} -j RETURN`,
      `-d ${nameServer} -p udp ${notFromProxy} -m udp --dport 53 ${redirect(DNS_PORT)}`,
      `-d ${nameServer} -p tcp -m tcp --dport 53 ${notFromProxy} ${redirect(DNS_PORT)}`,
    )
  } else if (options.dnsCapture && options.localNameServer === '') {
    output.push(
      `! -o lo -p udp ${notFromProxy} -m udp --dport 53 ${redirect(DNS_PORT)}`,
      `! -d ${loopback} -p tcp -m tcp --dport 53 ${notFromProxy} ${redirect(DNS_PORT)}`,
    )
  }
  output.push(
    `-p tcp -m mark --mark ${hex(options.connectionMark)}/${hex(MARK_MASK)} -j ACCEPT`,
    `! -d ${loopback} -o lo -j ACCEPT`,
  )
  if (options.captureOutbound)
    output.push(`! -d ${loopback} -p tcp ${notFromProxy} ${redirect(OUTBOUND_PORT)}`)
  return {
    table: 'nat',
    chains: [
      { name: PREROUTING_CHAIN, from: 'PREROUTING', rules: prerouting },
      // Docker's own rules translate what goes to its name server, and would have the last word.
      { name: OUTPUT_CHAIN, from: 'OUTPUT', rules: output, first: nameServer !== undefined },
    ],
  }
}

function localNameServerOf(family: AddressFamilyRules, options: EffectiveRedirection): string | undefined {
  if (!options.dnsCapture || options.localNameServer === '' || family.name !== 'IPv4') return undefined
  return `${options.localNameServer}/32`
}

/** The proxy's own look-ups in a connection tracking zone of their own, so that they are not taken for the app's. */
function rawTable(family: AddressFamilyRules, options: EffectiveRedirection): TableRules {
  const nameServer = localNameServerOf(family, options)
  // That one's address is translated, and its replies are outside of the zone: they would not be translated back.
  const elsewhere = nameServer === undefined ? '' : `! -d ${nameServer} `
  const mark = `${hex(options.packetMark)}/${hex(MARK_MASK)}`
  return {
    table: 'raw',
    chains: [
      {
        name: PREROUTING_CHAIN,
        from: 'PREROUTING',
        rules: [`-p udp -m mark ! --mark ${mark} -m udp --sport 53 -j CT --zone 1`],
      },
      {
        name: OUTPUT_CHAIN,
        from: 'OUTPUT',
        rules: [`${elsewhere}-p udp -m mark --mark ${mark} -m udp --dport 53 -j CT --zone 1`],
      },
    ],
  }
}

function redirect(port: number): string {
  return `-j REDIRECT --to-ports ${port}`
}

function hex(value: number): string {
  return `0x${value.toString(16)}`
}
