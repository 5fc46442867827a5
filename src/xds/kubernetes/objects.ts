import type { ConfigMap, Node } from './objects-cluster.ts'
import type { EndpointSlice } from './objects-discovery.ts'
import type { Gateway } from './objects-gateway.ts'
import type { ServiceEntry, WorkloadEntry } from './objects-networking.ts'
import type { HttpRouteObject, ReferenceGrant, TcpRouteObject } from './objects-route.ts'

/**
 * Kubernetes and Istio objects, reduced to the fields that an ambient mesh is
 * made of. Field names and meanings are the originals', so that the same YAML
 * applies to a real cluster; what is absent in YAML is filled with the API's
 * default here, so that readers need not know it.
 */

export interface ObjectMeta {
  readonly name: string
  /** `default` where the YAML has none; empty for a Namespace itself. */
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  /** RFC 3339, or empty. Orders policies of equal rank: the oldest wins. */
  readonly creationTimestamp: string
  /** Set while the object is being deleted. */
  readonly deletionTimestamp: string | undefined
  readonly ownerReferences: readonly OwnerReference[]
}

export interface OwnerReference {
  readonly kind: string
  readonly name: string
  readonly controller: boolean
}

export interface Namespace {
  readonly kind: 'Namespace'
  readonly metadata: ObjectMeta
}

export interface ContainerPort {
  readonly name: string | undefined
  readonly containerPort: number
  readonly protocol: 'TCP' | 'UDP' | 'SCTP'
}

export interface PodCondition {
  readonly type: string
  readonly status: 'True' | 'False' | 'Unknown'
}

export interface Pod {
  readonly kind: 'Pod'
  readonly metadata: ObjectMeta
  readonly spec: {
    /** Empty while the pod is not scheduled. */
    readonly nodeName: string
    readonly serviceAccountName: string
    readonly hostNetwork: boolean
    /** Ports of the containers and of the restartable init containers, in that order. */
    readonly ports: readonly ContainerPort[]
  }
  readonly status: {
    readonly phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown' | undefined
    /** Canonical text; empty while the pod has no address. */
    readonly podIPs: readonly string[]
    /** Undefined when the YAML has none at all, as in a file written by hand. */
    readonly conditions: readonly PodCondition[] | undefined
  }
}

export interface ServicePort {
  readonly name: string
  readonly port: number
  /** A number, or the name of a container port. */
  readonly targetPort: number | string
  readonly protocol: 'TCP' | 'UDP' | 'SCTP'
  readonly appProtocol: string | undefined
}

export interface Service {
  readonly kind: 'Service'
  readonly metadata: ObjectMeta
  readonly spec: {
    readonly type: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName'
    /** Canonical text. Empty for a headless service and for one without an address yet. */
    readonly clusterIPs: readonly string[]
    /** `clusterIP: None` was asked for. */
    readonly headless: boolean
    readonly selector: Readonly<Record<string, string>>
    readonly ports: readonly ServicePort[]
    readonly ipFamilies: readonly ('IPv4' | 'IPv6')[]
    readonly internalTrafficPolicy: 'Cluster' | 'Local'
    readonly trafficDistribution: string | undefined
    readonly publishNotReadyAddresses: boolean
  }
}

export interface PolicySource {
  readonly principals?: readonly string[] | undefined
  readonly notPrincipals?: readonly string[] | undefined
  readonly requestPrincipals?: readonly string[] | undefined
  readonly notRequestPrincipals?: readonly string[] | undefined
  readonly namespaces?: readonly string[] | undefined
  readonly notNamespaces?: readonly string[] | undefined
  readonly ipBlocks?: readonly string[] | undefined
  readonly notIpBlocks?: readonly string[] | undefined
  readonly remoteIpBlocks?: readonly string[] | undefined
  readonly notRemoteIpBlocks?: readonly string[] | undefined
  readonly serviceAccounts?: readonly string[] | undefined
  readonly notServiceAccounts?: readonly string[] | undefined
  readonly trustDomains?: readonly string[] | undefined
  readonly notTrustDomains?: readonly string[] | undefined
}

export interface PolicyOperation {
  readonly hosts?: readonly string[] | undefined
  readonly notHosts?: readonly string[] | undefined
  readonly ports?: readonly string[] | undefined
  readonly notPorts?: readonly string[] | undefined
  readonly methods?: readonly string[] | undefined
  readonly notMethods?: readonly string[] | undefined
  readonly paths?: readonly string[] | undefined
  readonly notPaths?: readonly string[] | undefined
}

export interface PolicyCondition {
  readonly key: string
  readonly values?: readonly string[] | undefined
  readonly notValues?: readonly string[] | undefined
}

export interface PolicyRule {
  readonly from?: readonly { readonly source: PolicySource }[] | undefined
  readonly to?: readonly { readonly operation: PolicyOperation }[] | undefined
  readonly when?: readonly PolicyCondition[] | undefined
}

/** What a policy is bound to in place of workloads. */
export interface TargetReference {
  /** Empty: Kubernetes' own, that of a Service. */
  readonly group: string
  readonly kind: string
  readonly name: string
  /** Undefined: the policy's. */
  readonly namespace: string | undefined
}

/** `security.istio.io` AuthorizationPolicy. */
export interface AuthorizationPolicy {
  readonly kind: 'AuthorizationPolicy'
  readonly metadata: ObjectMeta
  readonly spec: {
    /** Undefined: the whole namespace, or the whole mesh from the root namespace. */
    readonly matchLabels: Readonly<Record<string, string>> | undefined
    /** With any, the policy is bound to waypoints or services and none of a node proxy's business. */
    readonly targetRefs: readonly TargetReference[]
    readonly action: 'ALLOW' | 'DENY' | 'AUDIT' | 'CUSTOM'
    readonly rules: readonly PolicyRule[]
  }
}

export type MutualTlsMode = 'UNSET' | 'DISABLE' | 'PERMISSIVE' | 'STRICT'

/** `security.istio.io` PeerAuthentication. */
export interface PeerAuthentication {
  readonly kind: 'PeerAuthentication'
  readonly metadata: ObjectMeta
  readonly spec: {
    readonly matchLabels: Readonly<Record<string, string>> | undefined
    readonly mode: MutualTlsMode
    /** By workload (target) port. */
    readonly portLevelMtls: ReadonlyMap<number, MutualTlsMode>
  }
}

/** The name of an object that is in the YAML and not read further, such as a ServiceAccount or a Gateway. */
export interface OtherObject {
  /** Without the version; empty for Kubernetes' own. */
  readonly group: string
  readonly kind: string
  /** `default` where the YAML has none, for cluster-wide kinds too. */
  readonly namespace: string
  readonly name: string
}

export type KubernetesObject =
  | Namespace
  | Pod
  | Service
  | EndpointSlice
  | Gateway
  | ServiceEntry
  | WorkloadEntry
  | AuthorizationPolicy
  | PeerAuthentication
  | Node
  | ConfigMap
  | HttpRouteObject<'HTTPRoute'>
  | HttpRouteObject<'GRPCRoute'>
  | TcpRouteObject
  | ReferenceGrant

/** The objects of a folder by kind, in order of key. Keys are `namespace/name`, or the name of what is in no namespace. */
export interface KubernetesObjects {
  readonly namespaces: ReadonlyMap<string, Namespace>
  readonly pods: ReadonlyMap<string, Pod>
  readonly services: ReadonlyMap<string, Service>
  readonly endpointSlices: ReadonlyMap<string, EndpointSlice>
  readonly gateways: ReadonlyMap<string, Gateway>
  readonly nodes: ReadonlyMap<string, Node>
  readonly configMaps: ReadonlyMap<string, ConfigMap>
  readonly serviceEntries: ReadonlyMap<string, ServiceEntry>
  readonly workloadEntries: ReadonlyMap<string, WorkloadEntry>
  readonly authorizationPolicies: ReadonlyMap<string, AuthorizationPolicy>
  readonly peerAuthentications: ReadonlyMap<string, PeerAuthentication>
  readonly httpRoutes: ReadonlyMap<string, HttpRouteObject<'HTTPRoute'>>
  readonly grpcRoutes: ReadonlyMap<string, HttpRouteObject<'GRPCRoute'>>
  readonly tcpRoutes: ReadonlyMap<string, TcpRouteObject>
  readonly referenceGrants: ReadonlyMap<string, ReferenceGrant>
}
