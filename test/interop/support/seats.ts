import type { Socket } from 'node:net'
import { isIPv6 } from 'node:net'
import type { Test } from 'tap'
import type { LabOptions } from '../../../src/lab/mesh-lab.ts'
import { type Json, ORIGINATE, type TlsFiles } from '../../../src/sidecar/index.ts'
import { eastWestBootstrap, ingressBootstrap } from './envoy-gateway-config.ts'
import { legacyBootstrap } from './envoy-server-config.ts'
import { type BehindWaypoint, sandwichBootstrap, waypointBootstrap } from './envoy-waypoint-config.ts'
import { type InteropLab, startInteropLab } from './interop-lab.ts'
import { FAR_HOST, inFamily, seatsMesh } from './seats-mesh.ts'
import { dialIn, type TestApp } from './sockets.ts'

/** Where an Envoy stands that is neither client nor server of a tunnel to a pod, and a port 9000 that leads through it. */
export interface Seat {
  readonly name: string
  /** The Envoy's. */
  readonly pod: string
  /** Of its certificate; none where it bears none. */
  readonly id?: { readonly namespace: string; readonly serviceAccount: string }
  /** Its bootstrap: every port leads to the application. */
  readonly config: (tls: TlsFiles, more?: SeatConfig) => Json
  /** A client program's connection; `port` is one of {@link PORTS} where the seat has several. */
  readonly dial: (port?: number) => Promise<Socket>
  /** The application that is reached. */
  readonly app: TestApp
  /** Statistics of the connections that bring it tunnels; absent where it gets none. */
  readonly downstream?: string
  /** Statistics of the connections that carry its tunnels to us; absent where it opens none. */
  readonly upstream?: string
}

/** What differs from what the seat's tests have. */
export interface SeatConfig {
  /** Certificates by the port, of {@link PORTS}, whose tunnels bear them. */
  readonly origins?: Readonly<Record<number, TlsFiles>>
  readonly unshared?: boolean
  /** The application's port behind a port of {@link PORTS}. Default 9000. */
  readonly targets?: Readonly<Record<number, number>>
  /** The SPIFFE ids that Envoy lets in on a port of {@link PORTS}. Default: any. */
  readonly only?: Readonly<Record<number, readonly string[]>>
}

export interface Seats {
  readonly lab: InteropLab
  readonly waypoint: Seat
  readonly sandwich: Seat
  readonly ingress: Seat
  readonly egress: Seat
  readonly eastWest: Seat
  readonly legacy: Seat
}

/** Of the services behind waypoint and ingress gateway. */
export const PORTS = [9000, 9001, 9002, 9003, 80] as const

/** A lab with all seats, all empty. */
export async function startSeats(
  t: Test,
  { family = 4, ...options }: LabOptions & { readonly family?: 4 | 6 } = {},
): Promise<Seats> {
  const mesh = seatsMesh(family)
  const proxyEnv = { ...mesh.proxyEnv, ...options.proxyEnv }
  const lab = await startInteropLab(t, { ...options, ...mesh, proxyEnv })
  await lab.redirectInbound('legacy/permissive', family)
  const app = lab.app('app/server', 9000, t, family)
  const seat = new Builder(lab, family)
  return {
    lab,
    waypoint: seat.waypoint(app),
    sandwich: seat.sandwich(app),
    ingress: seat.ingress(app),
    egress: seat.egress(lab.app('outside', 9100, t, family)),
    eastWest: seat.eastWest(app),
    legacy: seat.legacy(lab.app('legacy/permissive', 9000, t, family)),
  }
}

/** `ip:port`, or `[ip]:port`. */
export function hostPort(address: string, port: number): string {
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`
}

class Builder {
  readonly #lab: InteropLab
  readonly #family: 4 | 6

  constructor(lab: InteropLab, family: 4 | 6) {
    this.#lab = lab
    this.#family = family
  }

  waypoint(app: TestApp): Seat {
    const vip = inFamily('10.96.0.10', this.#family)
    const pod = 'envoy/waypoint'
    return {
      ...this.#inMesh('waypoint', pod, vip, app),
      downstream: TERMINATE,
      upstream: ORIGINATE,
      config: (tls, { unshared = false, origins = {}, ...more } = {}) =>
        waypointBootstrap({
          unshared,
          address: this.#address(pod),
          tls,
          origins: named(origins),
          services: PORTS.map((port) => ({ ...this.#behind(vip, port, more), ...origin(origins, port) })),
        }),
    }
  }

  sandwich(app: TestApp): Seat {
    const vip = inFamily('10.96.0.11', this.#family)
    const { id: _, ...seat } = this.#inMesh('sandwich', 'envoy/sandwich', vip, app)
    const config = (_: TlsFiles, more?: SeatConfig): Json =>
      sandwichBootstrap(
        PORTS.map((port) => this.#behind(vip, port, more)),
        this.#family === 4 ? '127.0.0.1' : '::1',
      )
    return { ...seat, config }
  }

  ingress(app: TestApp): Seat {
    const pod = 'envoy/ingress'
    const address = this.#address(pod)
    return {
      ...this.#inMesh('ingress gateway', pod, address, app),
      upstream: ORIGINATE,
      dial: (port = 9000) => dialIn(this.#lab.namespace('outside'), address, port),
      config: (tls, { unshared = false, origins = {}, targets } = {}) =>
        ingressBootstrap({
          unshared,
          address,
          tls,
          origins: named(origins),
          ports: PORTS.map((port) => ({
            port,
            target: this.#server(targets?.[port]),
            ...origin(origins, port),
          })),
        }),
    }
  }

  egress(app: TestApp): Seat {
    const vip = inFamily('10.96.0.200', this.#family)
    const target = hostPort(this.#address('outside'), 9100)
    const pod = 'envoy/egress'
    const config = (tls: TlsFiles, more?: SeatConfig): Json => {
      const services = PORTS.map((port) => ({ ...this.#behind(vip, port, more), target, plain: true }))
      return waypointBootstrap({ address: this.#address(pod), tls, services })
    }
    return { ...this.#inMesh('egress gateway', pod, vip, app), downstream: TERMINATE, config }
  }

  eastWest(app: TestApp): Seat {
    const vip = inFamily('10.96.0.50', this.#family)
    const pod = 'envoy/eastwest'
    const endpoint = this.#address('app/server')
    const services = [9000, 9003].map((port) => ({ authority: `${FAR_HOST}:${port}`, endpoint }))
    const config = (tls: TlsFiles): Json => eastWestBootstrap({ address: this.#address(pod), tls, services })
    return { ...this.#inMesh('east-west gateway', pod, vip, app), downstream: 'http.east_west', config }
  }

  legacy(app: TestApp): Seat {
    const pod = 'legacy/permissive'
    const address = this.#address(pod)
    const config = (tls: TlsFiles, { only = {} }: SeatConfig = {}): Json => {
      const ports = [9000, 9001].map((port) => ({ port, ...admitted(only, port) }))
      return legacyBootstrap({ addresses: [address], tls, ports, strict: false })
    }
    return { ...this.#inMesh('legacy sidecar', pod, address, app), config }
  }

  #inMesh(
    name: string,
    pod: string,
    to: string,
    app: TestApp,
  ): Omit<Seat, 'config'> & { readonly id: object } {
    const [namespace = '', serviceAccount = ''] = pod.split('/')
    const dial = (port = 9000): Promise<Socket> => dialIn(this.#lab.namespace('app/client'), to, port)
    return { name, pod, id: { namespace, serviceAccount }, dial, app }
  }

  #behind(vip: string, port: number, { targets, only = {} }: SeatConfig = {}): BehindWaypoint {
    return { vip, port, target: this.#server(targets?.[port]), ...admitted(only, port) }
  }

  #server(port = 9000): string {
    return hostPort(this.#address('app/server'), port)
  }

  #address(pod: string): string {
    return this.#lab.address(pod, this.#family)
  }
}

function origin(origins: Readonly<Record<number, TlsFiles>>, port: number): { readonly origin?: string } {
  return origins[port] === undefined ? {} : { origin: String(port) }
}

function admitted(
  only: Readonly<Record<number, readonly string[]>>,
  port: number,
): { readonly only?: readonly string[] } {
  const ids = only[port]
  return ids === undefined ? {} : { only: ids }
}

function named(origins: Readonly<Record<number, TlsFiles>>): Readonly<Record<string, TlsFiles>> {
  return { ...origins }
}

const TERMINATE = 'http.connect_terminate'
