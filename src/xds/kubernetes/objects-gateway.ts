import type { LabelSelector } from './label-selector.ts'
import type { ObjectMeta } from './objects.ts'

/** Which namespaces' objects a listener serves. */
export type AllowedNamespaces =
  | { readonly from: 'Same' }
  | { readonly from: 'All' }
  | { readonly from: 'None' }
  | { readonly from: 'Selector'; readonly selector: LabelSelector }

export interface GatewayListener {
  readonly name: string
  readonly port: number
  /** `HBONE` for a waypoint's mesh listener. */
  readonly protocol: string
  readonly allowedNamespaces: AllowedNamespaces
}

/** `gateway.networking.k8s.io` Gateway: a waypoint if its class is `istio-waypoint`. */
export interface Gateway {
  readonly kind: 'Gateway'
  readonly metadata: ObjectMeta
  readonly spec: {
    readonly gatewayClassName: string
    readonly listeners: readonly GatewayListener[]
  }
  readonly status: {
    /** In order. Addresses are canonical text. */
    readonly addresses: readonly { readonly type: 'IPAddress' | 'Hostname'; readonly value: string }[]
  }
}
