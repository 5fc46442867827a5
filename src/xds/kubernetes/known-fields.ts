/** The fields that an object may have, and what they may have in turn; `true`: not looked into. Lists are their items. */
export type Shape = { readonly [field: string]: Shape | true }

const METADATA: Shape = { apiVersion: true, kind: true, metadata: true }

const CONTAINER: Shape = {
  ...fields(
    'args command env envFrom image imagePullPolicy lifecycle livenessProbe name readinessProbe resizePolicy resources',
    'restartPolicy restartPolicyRules securityContext startupProbe stdin stdinOnce terminationMessagePath',
    'terminationMessagePolicy tty volumeDevices volumeMounts workingDir',
  ),
  ports: fields('containerPort hostIP hostPort name protocol'),
}

const POD: Shape = {
  ...METADATA,
  spec: {
    ...fields(
      'activeDeadlineSeconds affinity automountServiceAccountToken dnsConfig dnsPolicy enableServiceLinks',
      'ephemeralContainers hostAliases hostIPC hostNetwork hostPID hostUsers hostname hostnameOverride',
      'imagePullSecrets nodeName nodeSelector os overhead preemptionPolicy priority priorityClassName readinessGates',
      'resourceClaims resources restartPolicy runtimeClassName schedulerName schedulingGates securityContext',
      'serviceAccount serviceAccountName setHostnameAsFQDN shareProcessNamespace subdomain',
      'terminationGracePeriodSeconds tolerations topologySpreadConstraints volumes workloadRef',
    ),
    containers: CONTAINER,
    initContainers: CONTAINER,
  },
  status: {
    ...fields(
      'allocatedResources conditions containerStatuses ephemeralContainerStatuses extendedResourceClaimStatus hostIP',
      'hostIPs initContainerStatuses message nominatedNodeName observedGeneration phase podIP qosClass reason resize',
      'resourceClaimStatuses resources startTime',
    ),
    podIPs: fields('ip'),
  },
}

const SERVICE: Shape = {
  ...METADATA,
  spec: {
    ...fields(
      'allocateLoadBalancerNodePorts clusterIP clusterIPs externalIPs externalName externalTrafficPolicy',
      'healthCheckNodePort internalTrafficPolicy ipFamilies ipFamilyPolicy loadBalancerClass loadBalancerIP',
      'loadBalancerSourceRanges publishNotReadyAddresses selector sessionAffinity sessionAffinityConfig topologyKeys',
      'trafficDistribution type',
    ),
    ports: fields('appProtocol name nodePort port protocol targetPort'),
  },
  status: true,
}

const ENDPOINT_SLICE: Shape = {
  ...METADATA,
  addressType: true,
  endpoints: {
    ...fields('addresses deprecatedTopology hints hostname nodeName targetRef zone'),
    conditions: fields('ready serving terminating'),
  },
  ports: fields('appProtocol name port protocol'),
}

const GATEWAY: Shape = {
  ...METADATA,
  spec: {
    ...fields('addresses allowedListeners backendTLS defaultScope gatewayClassName infrastructure tls'),
    listeners: {
      ...fields('hostname name port protocol tls'),
      allowedRoutes: fields('kinds namespaces'),
    },
  },
  status: { ...fields('attachedListenerSets conditions listeners'), addresses: fields('type value') },
}

const WITH_SPEC: Shape = { ...METADATA, spec: true, status: true }

/**
 * By kind: Kubernetes' own fields as of 1.35, Gateway API's as of 1.4. Kinds
 * of Istio's are checked more strictly by their schemas, below their spec.
 */
export const KNOWN_FIELDS: ReadonlyMap<string, Shape> = new Map([
  ['Namespace', WITH_SPEC],
  ['Node', WITH_SPEC],
  ['Pod', POD],
  ['Service', SERVICE],
  ['EndpointSlice', ENDPOINT_SLICE],
  ['ConfigMap', { ...METADATA, ...fields('binaryData data immutable') }],
  ['Gateway', GATEWAY],
  ['ServiceEntry', WITH_SPEC],
  ['WorkloadEntry', WITH_SPEC],
  ['HTTPRoute', WITH_SPEC],
  ['GRPCRoute', WITH_SPEC],
  ['TCPRoute', WITH_SPEC],
  ['ReferenceGrant', WITH_SPEC],
])

function fields(...lists: readonly string[]): Shape {
  return Object.fromEntries(lists.flatMap((list) => list.split(' ')).map((field) => [field, true]))
}
