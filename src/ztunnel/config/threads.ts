import { availableParallelism } from 'node:os'
import { invalid, type Values } from './values.ts'

/** More threads than this are a typing error: each has a copy of the mesh. */
const MAX_THREADS = 128

/**
 * How many threads carry connections (wire/ztunnel 2.4, 2.5). ZTUNNEL_WORKER_THREADS first, then `concurrency` of the
 * ProxyConfig, each 0 for all cores; then the pod's CPU limit and request.
 *
 * Where nothing is said, Istio's ztunnel takes a quarter of the cores, at least 2. We take no more than half of them:
 * the main thread needs some of the rest, and so do the workloads. On two cores, with the workloads beside it, a second
 * thread costs more than it brings (docs/performance.md).
 *
 * @param concurrency undefined: not set.
 * @param cores that the process may use, cgroups' quota included.
 */
export function workerThreads(
  values: Values,
  concurrency: number | undefined,
  cores: number = availableParallelism(),
): number {
  const cpus = values.optionalInteger('ZTUNNEL_CPU_LIMIT', 1, MAX_THREADS) ?? cores
  const limit = cpuQuantity(values, 'ZTUNNEL_RESOURCE_CPU_LIMIT')
  const request = cpuQuantity(values, 'ZTUNNEL_RESOURCE_CPU_REQUEST')
  const asked = askedFor(values, cpus) ?? (concurrency === 0 ? cpus : concurrency)
  const threads = asked ?? (limit === undefined ? unasked(cpus, request) : Math.max(limit, request ?? 0))
  return Math.min(Math.max(threads, 1), MAX_THREADS)
}

function unasked(cpus: number, request = 0): number {
  const reference = Math.max(Math.ceil(cpus / 4), request, 2)
  return Math.max(Math.min(reference, Math.floor(cpus / 2)), request)
}

function askedFor(values: Values, cpus: number): number | undefined {
  const name = 'ZTUNNEL_WORKER_THREADS'
  const text = values.filled(name)
  if (text === undefined) return undefined
  const percent = /^(\d+(?:\.\d+)?)%$/.exec(text)?.[1]
  if (percent !== undefined && Number(percent) > 0 && Number(percent) <= 100) {
    return Math.ceil((cpus * Number(percent)) / 100)
  }
  if (/^\d+$/.test(text) && Number(text) <= MAX_THREADS) return Number(text) === 0 ? cpus : Number(text)
  throw invalid(
    name,
    text,
    `a number from 0 (as many as there are cores) to ${MAX_THREADS}, or a share of the cores such as 25%`,
  )
}

/** A Kubernetes quantity of CPU, in whole cores, rounded up. */
function cpuQuantity(values: Values, name: string): number | undefined {
  const text = values.filled(name)
  if (text === undefined) return undefined
  const [, number, milli] = /^(\d+(?:\.\d+)?)(m?)$/.exec(text) ?? []
  if (number === undefined) throw invalid(name, text, 'an amount of CPU such as 2, 1.5 or 500m')
  return Math.ceil(Number(number) / (milli === 'm' ? 1000 : 1))
}
