import { chooseWeighted } from '../load-balancer.ts'
import type { HttpBackend, TcpBackend } from './route-model.ts'

/** Chooses by weight; undefined when there is none of any weight. `random`: 0 ≤ x < 1. */
export function chooseBackend<B extends TcpBackend | HttpBackend>(
  backends: readonly B[],
  random: () => number,
): B | undefined {
  return chooseWeighted(backends, ({ weight }) => weight, random)
}

/** `foo/echo.foo.svc.cluster.local port 80, weight 1 of 2 backends` */
export function describeBackend({ target, weight }: TcpBackend, backends: readonly TcpBackend[]): string {
  const share = `weight ${weight} of ${backends.length} backends`
  return target.kind === 'service'
    ? `${target.service} port ${target.port}, ${share}`
    : `${target.reason}, ${share}`
}
