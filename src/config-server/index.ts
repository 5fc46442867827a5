export { type ConfigServer, type ConfigServerOptions, startConfigServer } from './config-server.ts'
export { ConfigServerError, type ConfigServerErrorCode } from './errors.ts'
export type { ListenAddress } from './listen.ts'
export type { ConfigServerStatus } from './status-listener.ts'
