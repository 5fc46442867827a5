import type { RouteStep } from '../route.ts'
import { chooseBackend, describeBackend } from './choose-backend.ts'
import { type BackendTarget, routeName, type TcpRoute } from './route-model.ts'
import type { ApplicableRoutes } from './route-table.ts'

/** The routes of one port that are TCP's. */
export type TcpRoutes = Extract<ApplicableRoutes, { kind: 'TCPRoute' }>

/** What routes make of a connection. Steps: `route-match`, `backend-choice`. */
export type ConnectionPlan = { readonly route: TcpRoute; readonly steps: readonly RouteStep[] } & (
  | { readonly kind: 'forward'; readonly target: Extract<BackendTarget, { kind: 'service' }> }
  | { readonly kind: 'refused'; readonly reason: string }
)

/**
 * Chooses where a connection goes: by the first rule of the oldest route, as
 * nothing tells one connection to a port from another. Undefined when no route
 * has a rule. Pure but for `random`: 0 ≤ x < 1.
 */
export function planConnection({ routes }: TcpRoutes, random: () => number): ConnectionPlan | undefined {
  const route = routes.find(({ rules }) => rules.length > 0)
  const [rule] = route?.rules ?? []
  if (route === undefined || rule === undefined) return undefined
  const matched = { step: 'route-match', detail: `${routeName(route)} rule 0` }
  const backend = chooseBackend(rule.backends, random)
  if (backend === undefined) {
    const reason = 'the rule has no backend of any weight'
    return { kind: 'refused', reason, route, steps: [matched, { step: 'backend-choice', detail: reason }] }
  }
  const { target } = backend
  const steps = [matched, { step: 'backend-choice', detail: describeBackend(backend, rule.backends) }]
  if (target.kind === 'invalid') return { kind: 'refused', reason: target.reason, route, steps }
  return { kind: 'forward', target, route, steps }
}
