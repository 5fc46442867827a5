import type { Service, Workload } from '../mesh/model.ts'
import type { Clock } from './clock.ts'

/** A clock that stands still until told. */
export class ManualClock implements Clock {
  epochMs: number
  elapsedMs = 0

  constructor(start = '2026-01-02T03:04:05.678Z') {
    this.epochMs = Date.parse(start)
  }

  now(): number {
    return this.epochMs
  }

  monotonic(): number {
    return this.elapsedMs
  }

  advance(ms: number): void {
    this.epochMs += ms
    this.elapsedMs += ms
  }
}

/** A destination that keeps its lines. */
export class Lines {
  readonly lines: string[] = []

  write(line: string): void {
    this.lines.push(line)
  }
}

export function workload(name: string, overrides: Partial<Workload> = {}): Workload {
  return {
    uid: `Kubernetes//Pod/default/${name}`,
    name,
    namespace: 'default',
    serviceAccount: name,
    trustDomain: 'cluster.local',
    addresses: ['10.0.0.5'],
    hostname: '',
    network: '',
    node: 'node-1',
    clusterId: 'Kubernetes',
    tunnelProtocol: 'HBONE',
    nativeTunnel: false,
    applicationTunnel: undefined,
    waypoint: undefined,
    networkGateway: undefined,
    networkMode: 'STANDARD',
    workloadName: `${name}-deploy`,
    workloadType: 'DEPLOYMENT',
    canonicalName: `${name}-app`,
    canonicalRevision: 'v1',
    services: new Map(),
    authorizationPolicies: [],
    status: 'HEALTHY',
    locality: { region: 'r1', zone: 'z1', subzone: '' },
    capacity: 1,
    ...overrides,
  }
}

export function service(name: string, overrides: Partial<Service> = {}): Service {
  return {
    name,
    namespace: 'default',
    hostname: `${name}.default.svc.cluster.local`,
    addresses: [{ network: '', address: '10.1.0.1' }],
    cidrs: [],
    ports: [{ servicePort: 80, targetPort: 8080, appProtocol: 'UNKNOWN' }],
    subjectAltNames: [],
    waypoint: undefined,
    weightedWaypoints: [],
    loadBalancing: { routingPreference: [], mode: 'STANDARD', healthPolicy: 'ONLY_HEALTHY' },
    ipFamilies: 'AUTOMATIC',
    canonical: false,
    visibility: 'PUBLIC',
    ...overrides,
  }
}
