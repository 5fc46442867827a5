/**
 * Numbers of the Linux user-space interface, named as in the kernel's headers. All of them are the same on x86-64 and
 * arm64, the two architectures that Istio ships for.
 */

export const AF_UNIX = 1
export const AF_INET = 2
export const AF_INET6 = 10
export const AF_NETLINK = 16
export const AF_PACKET = 17

export const SOCK_STREAM = 1
export const SOCK_DGRAM = 2
export const SOCK_RAW = 3
export const SOCK_SEQPACKET = 5
export const SOCK_NONBLOCK = 0o4000
export const SOCK_CLOEXEC = 0o2000000

export const O_RDONLY = 0
/** `flock`: alone, and without waiting. */
export const LOCK_EX = 2
export const LOCK_NB = 4
export const O_CLOEXEC = 0o2000000

export const SOL_IP = 0
export const SOL_SOCKET = 1
export const SOL_TCP = 6
export const SOL_IPV6 = 41
export const SOL_PACKET = 263

export const SO_REUSEADDR = 2
export const SO_RCVBUF = 8
export const SO_KEEPALIVE = 9
export const SO_REUSEPORT = 15
export const SO_ATTACH_FILTER = 26
export const SO_RCVBUFFORCE = 33
export const SO_MARK = 36
export const SO_ATTACH_REUSEPORT_CBPF = 51

export const IP_TRANSPARENT = 19
export const IP_BIND_ADDRESS_NO_PORT = 24
export const IPV6_V6ONLY = 26
export const IPV6_TRANSPARENT = 75
/** Netfilter: where a redirected connection wanted to go. The IPv6 option has the same number at SOL_IPV6. */
export const SO_ORIGINAL_DST = 80
export const IP6T_SO_ORIGINAL_DST = 80

export const TCP_NODELAY = 1
export const TCP_KEEPIDLE = 4
export const TCP_KEEPINTVL = 5
export const TCP_KEEPCNT = 6
export const TCP_USER_TIMEOUT = 18

export const SCM_RIGHTS = 1
export const MSG_CTRUNC = 0x8
export const MSG_TRUNC = 0x20
export const MSG_DONTWAIT = 0x40
export const MSG_NOSIGNAL = 0x4000
export const MSG_CMSG_CLOEXEC = 0x40000000

/** A copy of a descriptor, closed on exec; the lowest number from the argument on. */
export const F_DUPFD_CLOEXEC = 1030

export const CLONE_NEWNET = 0x40000000
/** ioctl that tells the kind of a namespace descriptor. */
export const NS_GET_NSTYPE = 0xb703

export const ETH_P_ALL = 0x0003
export const PACKET_STATISTICS = 6
export const PACKET_OUTGOING = 4
