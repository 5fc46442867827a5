import { createRequire } from 'node:module'
import type * as Prometheus from 'prom-client'

/**
 * The parts of `prom-client` that we use, by the files that they are in: its
 * index also loads a push gateway, cluster support and a tracing API, 12 MB of
 * memory in each process. Import metrics from here only, so that all of them
 * are of one library.
 */
export const Counter: typeof Prometheus.Counter = part('counter')
export const Gauge: typeof Prometheus.Gauge = part('gauge')
export const Histogram: typeof Prometheus.Histogram = part('histogram')
export const Registry: typeof Prometheus.Registry = part('registry')

export type Counter<Label extends string = string> = Prometheus.Counter<Label>
export type Gauge<Label extends string = string> = Prometheus.Gauge<Label>
export type Histogram<Label extends string = string> = Prometheus.Histogram<Label>
export type Registry<Type extends Prometheus.RegistryContentType = Prometheus.RegistryContentType> =
  Prometheus.Registry<Type>
export type { OpenMetricsContentType } from 'prom-client'

function part<Name extends string>(name: Name) {
  return createRequire(import.meta.url)(`prom-client/lib/${name}.js`)
}
