import type { KubernetesObject, KubernetesObjects, ObjectMeta } from './objects.ts'

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
    httpRoutes: pick('HTTPRoute'),
    grpcRoutes: pick('GRPCRoute'),
    tcpRoutes: pick('TCPRoute'),
    referenceGrants: pick('ReferenceGrant'),
  }
}

/** `namespace/name`; the name alone of an object that lives in no namespace. */
export function objectKey({ metadata }: Named): string {
  return metadata.namespace === '' ? metadata.name : `${metadata.namespace}/${metadata.name}`
}

/** `Kind namespace/name`: one object, among all kinds. */
export function objectId(object: Named): string {
  return `${object.kind} ${objectKey(object)}`
}

interface Named {
  readonly kind: string
  readonly metadata: Pick<ObjectMeta, 'namespace' | 'name'>
}
