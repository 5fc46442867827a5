/** Access log, metrics and the process's log, with the names and formats of Istio's ztunnel. */
export { type Clock, systemClock } from './clock.ts'
export {
  ConnectionTelemetry,
  type ConnectionTelemetryOptions,
  DRAIN_ERROR,
  type LiveConnection,
  type OpenConnection,
} from './connection.ts'
export type {
  BaggageNames,
  ByteCounts,
  ConnectionEnd,
  ConnectionEnding,
  ConnectionInfo,
  Direction,
  EarlyRejection,
  ResponseFlag,
} from './connection-info.ts'
export type { DnsMetrics, DnsQuestionLabels } from './dns-metrics.ts'
export { TelemetryError, type TelemetryErrorCode } from './errors.ts'
export { type FieldsFirstLogger, fieldsFirst } from './fields-first.ts'
export { HttpMetrics, type HttpMetricsOptions, type RequestRecord } from './http-metrics.ts'
export {
  DEFAULT_LOG_FILTER,
  formatLogFilter,
  type LogFilter,
  type LogLevel,
  parseLogFilter,
} from './log-filter.ts'
export { DisplayValue, display, type LogFields } from './log-format.ts'
export {
  createLogger,
  type LogDestination,
  type LogFormat,
  type Logger,
  type LoggerOptions,
  type ScopedLogger,
} from './logger.ts'
export {
  createMetrics,
  type Metrics,
  type MetricsOptions,
  type WorkloadManagerMetrics,
  type XdsMetrics,
  type XdsTerminationReason,
} from './metrics.ts'
export type { OnDemandDnsMetrics } from './on-demand-dns-metrics.ts'
export { type RequestLine, RequestLog } from './request-log.ts'
export { type OpenTraffic, TrafficMetrics, type TrafficMetricsOptions } from './traffic-metrics.ts'
export type { TrafficReport, TrafficRow } from './traffic-report.ts'
export { WarningLimiter, type WarningLimiterOptions } from './warning-limiter.ts'
