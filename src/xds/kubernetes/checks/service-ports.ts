import type { Port, Workload } from '../../../mesh/model.ts'
import { objectKey } from '../collect-objects.ts'
import type { Service } from '../objects.ts'
import { type CheckInput, type Finding, objectKeyOf } from './finding.ts'

/** Ports of services: twice the same, or named after a container port that no endpoint has. */
export function servicePorts({ objects, workloads }: CheckInput): readonly Finding[] {
  const endpoints = portsOfEndpoints(workloads)
  return [...objects.services.values()].flatMap((service) => [
    ...repeatedPorts(service),
    ...unknownNames(service, endpoints.get(objectKey(service)) ?? []),
  ])
}

function repeatedPorts(service: Service): readonly Finding[] {
  const seen = new Map<string, number>()
  const findings: Finding[] = []
  for (const [index, { port, protocol }] of service.spec.ports.entries()) {
    const earlier = seen.get(`${port}/${protocol}`)
    if (earlier === undefined) seen.set(`${port}/${protocol}`, index)
    else {
      findings.push({
        severity: 'error',
        object: service,
        field: `spec.ports[${index}].port`,
        message: `port ${port}/${protocol} is there twice`,
        other: { object: service, field: `spec.ports[${earlier}].port` },
      })
    }
  }
  return findings
}

/** By a service's `namespace/name`: for each endpoint, the ports that lead somewhere there. */
function portsOfEndpoints(workloads: readonly Workload[]): ReadonlyMap<string, readonly (readonly Port[])[]> {
  const byService = new Map<string, (readonly Port[])[]>()
  for (const { services } of workloads) {
    for (const [key, ports] of services) {
      const service = objectKeyOf(key)
      const known = byService.get(service)
      if (known === undefined) byService.set(service, [ports])
      else known.push(ports)
    }
  }
  return byService
}

function unknownNames(service: Service, endpoints: readonly (readonly Port[])[]): readonly Finding[] {
  // Without endpoints the selector is what to look at, and said elsewhere.
  if (endpoints.length === 0) return []
  const findings: Finding[] = []
  for (const [index, { port, targetPort, protocol }] of service.spec.ports.entries()) {
    if (typeof targetPort === 'number' || protocol !== 'TCP') continue
    if (endpoints.some((ports) => ports.some(({ servicePort }) => servicePort === port))) continue
    findings.push({
      severity: 'warning',
      object: service,
      field: `spec.ports[${index}].targetPort`,
      message: `no selected pod has a TCP port named "${targetPort}": this port leads nowhere`,
    })
  }
  return findings
}
