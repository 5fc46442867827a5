export { Socks5Error, type Socks5ErrorCode } from './errors.ts'
export { type Socks5Dependencies, socks5Handler } from './handler.ts'
