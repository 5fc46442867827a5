import type { KubernetesObject, KubernetesObjects } from './objects.ts'

/** Objects by kind and name, in order of name. Of two with the same name the last counts. */
export function collectObjects(all: readonly KubernetesObject[]): KubernetesObjects {
  const pick = <K extends KubernetesObject['kind']>(kind: K) =>
    new Map(
      all
        .filter((object): object is Extract<KubernetesObject, { kind: K }> => object.kind === kind)
        .map((object) => [objectKey(object), object] as const)
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    )
  return {
    namespaces: pick('Namespace'),
    pods: pick('Pod'),
    services: pick('Service'),
    endpointSlices: pick('EndpointSlice'),
    gateways: pick('Gateway'),
    nodes: pick('Node'),
    configMaps: pick('ConfigMap'),
    serviceEntries: pick('ServiceEntry'),
    workloadEntries: pick('WorkloadEntry'),
    authorizationPolicies: pick('AuthorizationPolicy'),
    peerAuthentications: pick('PeerAuthentication'),
  }
}

/** `namespace/name`; the name alone of an object that lives in no namespace. */
export function objectKey({ metadata }: KubernetesObject): string {
  return metadata.namespace === '' ? metadata.name : `${metadata.namespace}/${metadata.name}`
}
