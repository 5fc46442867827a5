import { EMPTY_MATCH } from '../empty-match.ts'
import type { HttpPolicyMatch } from './policy-model.ts'

/** A waypoint's match without any field. It never matches. */
export const EMPTY_HTTP_MATCH: HttpPolicyMatch = {
  ...EMPTY_MATCH,
  trustDomains: [],
  notTrustDomains: [],
  remoteIps: [],
  notRemoteIps: [],
  serverNames: [],
  notServerNames: [],
  hosts: [],
  notHosts: [],
  methods: [],
  notMethods: [],
  paths: [],
  notPaths: [],
  headers: [],
  unsupported: [],
}
