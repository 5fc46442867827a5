export { type Capability, missingCapabilities } from './capabilities.ts'
export { closeDescriptor, duplicateDescriptor } from './descriptor.ts'
export type { LinuxErrorCode, LinuxErrorDetails } from './errors.ts'
export { LinuxError } from './errors.ts'
export { type Ipv6Support, ipv6Support } from './ipv6.ts'
export { NamespaceClaim } from './namespace-claim.ts'
export { NetworkNamespace } from './netns.ts'
export type { CapturedPacket, CaptureOptions, CaptureStatistics } from './packet-capture.ts'
export { capturePackets, PacketCapture } from './packet-capture.ts'
export { tryNamespacePrivileges } from './privileges.ts'
export { applyRedirection, redirectionInPlace, removeRedirection } from './redirection.ts'
export type { RedirectionOptions } from './redirection-rules.ts'
export { RedirectionWatch } from './redirection-watch.ts'
export { SeqpacketServer } from './seqpacket-server.ts'
export type { Packet } from './seqpacket-socket.ts'
export { SeqpacketSocket } from './seqpacket-socket.ts'
export type { Endpoint } from './sockaddr.ts'
export type { TcpFlags, TcpSegment } from './tcp-segment.ts'
export { parseTcpSegment } from './tcp-segment.ts'
export type {
  KeepAliveOptions,
  ListeningTcpGroup,
  ListeningTcpSocket,
  ListenTcpOptions,
  OpenTcpSocketOptions,
} from './tcp-socket.ts'
export {
  listenTcp,
  listenTcpGroup,
  openTcpSocket,
  originalDestination,
  setKeepAlive,
  setMark,
  setNoDelay,
  setUserTimeout,
  socketFd,
} from './tcp-socket.ts'
export type { BindUdpOptions } from './udp-socket.ts'
export { bindUdp } from './udp-socket.ts'
