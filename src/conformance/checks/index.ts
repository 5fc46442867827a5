import type { Check } from '../check.ts'
import { clientCertificateChecks } from './client-certificate.ts'
import { connectChecks } from './connect.ts'
import { floodChecks } from './floods.ts'
import { flowControlChecks } from './flow-control.ts'
import { handshakeChecks } from './handshake.ts'
import { headerChecks } from './headers.ts'
import { illegalFrameChecks } from './illegal-frames.ts'
import { proxyProtocolChecks } from './proxy-protocol.ts'
import { settingsChecks } from './settings.ts'
import { shutdownChecks } from './shutdown.ts'
import { statusChecks } from './status.ts'
import { streamChecks } from './streams.ts'
import { tlsChecks } from './tls.ts'
import { tunnelChecks } from './tunnel.ts'

/** All checks, in the order of a connection's life, attacks last. */
export const ALL_CHECKS: readonly Check[] = [
  ...tlsChecks,
  ...clientCertificateChecks,
  ...handshakeChecks,
  ...settingsChecks,
  ...connectChecks,
  ...statusChecks,
  ...headerChecks,
  ...tunnelChecks,
  ...streamChecks,
  ...flowControlChecks,
  ...proxyProtocolChecks,
  ...illegalFrameChecks,
  ...floodChecks,
  ...shutdownChecks,
]
