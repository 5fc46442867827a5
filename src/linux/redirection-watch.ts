import { AF_INET, AF_INET6, SOCK_CLOEXEC, SOCK_DGRAM, SOL_IP, SOL_IPV6 } from './constants.ts'
import { legacyTables } from './iptables-backend.ts'
import { ipv6Support } from './ipv6.ts'
import { check, closeQuietly, libc } from './libc.ts'
import { findNetlinkAttribute, NetlinkSocket, netlinkAttribute } from './netlink.ts'
import type { NetworkNamespace } from './netns.ts'
import { IPV4_RULES, IPV6_RULES } from './redirection-rules.ts'

/**
 * Tells cheaply whether the redirection of a namespace may have been touched: with a few system calls where comparing
 * the rules takes half a dozen processes. It looks at
 *
 * - nftables' generation, which the kernel raises at every change of the rules in the namespace;
 * - the number and size of the rules in each table of the older back end, where there are such tables;
 * - where a packet with the redirection's mark would go, which is here as long as routing rule and route are in place;
 * - whether IPv6 was switched on or off.
 */
export class RedirectionWatch {
  readonly #namespace: NetworkNamespace
  readonly #netfilter: NetlinkSocket
  readonly #route: NetlinkSocket
  /** What the older back end is asked through, by family; no IPv6 socket where the kernel has none. */
  readonly #inet: number
  readonly #inet6: number | undefined
  readonly #connectionMark: number

  /** Throws LinuxError `system-call`. The namespace must stay open until `close`. */
  constructor(namespace: NetworkNamespace, connectionMark = 0x111) {
    this.#namespace = namespace
    this.#connectionMark = connectionMark
    const { netfilter, route, inet, inet6 } = namespace.run(() => ({
      netfilter: NetlinkSocket.open(NETLINK_NETFILTER),
      route: NetlinkSocket.open(NETLINK_ROUTE),
      inet: check(libc.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), 'socket', 'UDP'),
      inet6: libc.socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0),
    }))
    this.#netfilter = netfilter
    this.#route = route
    this.#inet = inet
    this.#inet6 = inet6 < 0 ? undefined : inet6
  }

  /**
   * A text that stays the same for as long as nothing that redirection lives on is touched. Others may change it too:
   * then the rules are worth comparing, no more. About 0.1 ms.
   */
  fingerprint(): string {
    const support = ipv6Support(this.#namespace)
    return [
      `generation ${this.#generation()}`,
      `legacy ${this.#legacy()}`,
      `route4 ${this.#routeType(AF_INET)}`,
      `ipv6 ${support}`,
      `route6 ${support === 'enabled' ? this.#routeType(AF_INET6) : '-'}`,
    ].join(', ')
  }

  close(): void {
    this.#netfilter.close()
    this.#route.close()
    closeQuietly(this.#inet)
    if (this.#inet6 !== undefined) closeQuietly(this.#inet6)
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** `nft monitor`'s generation number; `-` where the kernel has no nftables. */
  #generation(): string {
    const header = Buffer.from([0, 0, 0, 0])
    const reply = this.#netfilter.ask((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN, header)
    const id = reply === undefined ? undefined : findNetlinkAttribute(reply.body.subarray(4), NFTA_GEN_ID)
    return id === undefined ? '-' : String(id.readUInt32BE(0))
  }

  #legacy(): string {
    const four = legacyTables(this.#namespace, IPV4_RULES).map((table) =>
      tableSize(this.#inet, SOL_IP, table),
    )
    const six = legacyTables(this.#namespace, IPV6_RULES).map((table) =>
      tableSize(this.#inet6, SOL_IPV6, table),
    )
    return [...four, ...six].sort().join(' ') || '-'
  }

  /** The type of route (2: local) of a packet with the connection mark to an address that is nobody's. */
  #routeType(family: number): string {
    const destination = family === AF_INET ? TEST_NET_1 : DOCUMENTATION_PREFIX
    const mark = Buffer.alloc(4)
    mark.writeUInt32LE(this.#connectionMark)
    // struct rtmsg: family, destination length, source length, tos, table, protocol, scope, type, flags.
    const header = Buffer.alloc(12)
    header[0] = family
    header[1] = destination.length * 8
    const attributes = [netlinkAttribute(RTA_DST, destination), netlinkAttribute(RTA_MARK, mark)]
    const reply = this.#route.ask(RTM_GETROUTE, Buffer.concat([header, ...attributes]))
    return reply === undefined ? '-' : String(reply.body[7])
  }
}

function tableSize(socket: number | undefined, level: number, table: string): string {
  const info = Buffer.alloc(IPT_GETINFO_BYTES)
  info.write(table, 0, 'latin1')
  const known =
    socket !== undefined && libc.getsockopt(socket, level, IPT_SO_GET_INFO, info, [info.length]) === 0
  return known ? `${level}:${table}:${info.readUInt32LE(76)}:${info.readUInt32LE(80)}` : `${level}:${table}`
}

const NETLINK_ROUTE = 0
const NETLINK_NETFILTER = 12
const NFNL_SUBSYS_NFTABLES = 10
const NFT_MSG_GETGEN = 16
const NFTA_GEN_ID = 1
const RTM_GETROUTE = 26
const RTA_DST = 1
const RTA_MARK = 16
/** `struct ipt_getinfo`: name (32), hooks (4 + 20 + 20), at 76 the number of entries, at 80 their size. */
const IPT_SO_GET_INFO = 64
const IPT_GETINFO_BYTES = 84
/** 192.0.2.1 (RFC 5737) and 2001:db8::1 (RFC 3849). */
const TEST_NET_1 = Buffer.from([192, 0, 2, 1])
const DOCUMENTATION_PREFIX = Buffer.from('20010db8000000000000000000000001', 'hex')
