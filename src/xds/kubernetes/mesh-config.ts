import type { KubernetesObjects } from './objects.ts'
import type { MeshConfig } from './objects-cluster.ts'
import { MESH_CONFIG_NAME } from './schema-cluster.ts'
import type { TranslateContext } from './translate-context.ts'

/** Where istiod and its MeshConfig are. */
export const SYSTEM_NAMESPACE = 'istio-system'
/** Label of that namespace: the network of all pods of the cluster. */
export const NETWORK_LABEL = 'topology.istio.io/network'

/** Istio's. */
const DEFAULT_TRUST_DOMAIN = 'cluster.local'

/** The trust domain that the folder's MeshConfig names, else Istio's default. */
export function configuredTrustDomain({ configMaps }: KubernetesObjects): string {
  const configMap = configMaps.get(`${SYSTEM_NAMESPACE}/${MESH_CONFIG_NAME}`)
  return configMap?.meshConfig?.trustDomain ?? DEFAULT_TRUST_DOMAIN
}

/** The folder's MeshConfig, if it has one. What it asks for and does not get here is warned of. */
export function meshConfigOf(
  { configMaps }: KubernetesObjects,
  { trustDomain, warn }: Pick<TranslateContext, 'trustDomain' | 'warn'>,
): MeshConfig | undefined {
  const configMap = configMaps.get(`${SYSTEM_NAMESPACE}/${MESH_CONFIG_NAME}`)
  const mesh = configMap?.meshConfig
  if (configMap === undefined || mesh === undefined) return undefined
  if (mesh.trustDomain !== undefined && mesh.trustDomain !== trustDomain) {
    const message = `trustDomain: "${mesh.trustDomain}" is not this server's, whose authority issues for "${trustDomain}": it takes effect when the server starts anew, and has no other --trust-domain`
    warn(configMap, 'data.mesh', message)
  }
  for (const { field, meant } of mesh.mistyped) {
    warn(configMap, 'data.mesh', `${field}: unknown field, it has no effect; is "${meant}" meant?`)
  }
  return mesh
}
