import type { ProxySettings } from '../settings.ts'

/** One port that a workload's proxy accepts on. */
export interface WorkloadPort {
  readonly port: number
  readonly component: 'inbound' | 'outbound' | 'socks5'
  readonly address: string
}

/** The ports of a captured workload, in the order in which they are opened, Istio's. */
export function capturePorts({
  ports,
  bindAddress: address,
}: ProxySettings): readonly [
  hbone: WorkloadPort,
  plaintext: WorkloadPort,
  outbound: WorkloadPort,
  socks5?: WorkloadPort,
] {
  const captured = [
    { port: ports.inboundHbone, component: 'inbound', address },
    { port: ports.inboundPlaintext, component: 'inbound', address },
    { port: ports.outbound, component: 'outbound', address },
  ] as const
  if (ports.socks5 === undefined) return captured
  // Whoever reaches it speaks as the workload: its own applications only.
  return [...captured, { port: ports.socks5, component: 'socks5', address: '127.0.0.1' }]
}

/** That of a workload that is not captured. */
export function hbonePorts({ ports, bindAddress: address }: ProxySettings): readonly [WorkloadPort] {
  return [{ port: ports.inboundHbone, component: 'inbound', address }]
}
