import type { AuthorizationPolicy, GatewayAddress, Service, ServiceKey } from './model.ts'

/** The resource name of a service, `namespace/hostname`. */
export function serviceKey(service: Pick<Service, 'namespace' | 'hostname'>): ServiceKey {
  return `${service.namespace}/${service.hostname}`
}

/** The resource name of a policy, `namespace/name`. */
export function policyName(policy: Pick<AuthorizationPolicy, 'namespace' | 'name'>): string {
  return `${policy.namespace}/${policy.name}`
}

/** Whether `name` has the form `namespace/hostname`: exactly one slash. */
export function isServiceKey(name: string): name is ServiceKey {
  const slash = name.indexOf('/')
  return slash !== -1 && slash === name.lastIndexOf('/')
}

/** A gateway address for people: `ns/host:15008` or `network/10.0.0.1:15008`. */
export function formatGateway(gateway: GatewayAddress): string {
  const where =
    gateway.kind === 'hostname'
      ? `${gateway.namespace}/${gateway.hostname}`
      : `${gateway.network}/${gateway.address}`
  return `${where}:${gateway.hboneMtlsPort}`
}
