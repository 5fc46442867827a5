import { Code, ConnectError, type ConnectRouter, type ServiceImpl } from '@connectrpc/connect'
import { type IstioCertificateRequest, IstioCertificateService } from '../gen/istio/v1/auth/ca_pb.ts'
import { type CertificateAuthority, MAX_CSR_BYTES } from './certificate-authority.ts'
import { errorText, IdentityError } from './errors.ts'
import { IMPERSONATED_IDENTITY } from './impersonation.ts'
import { type IdentityLog, silentLog } from './log.ts'
import { formatSpiffeId, parseSpiffeId, type SpiffeId } from './spiffe-id.ts'
import { DEFAULT_TTL_SECONDS, MAX_TTL_SECONDS, MIN_TTL_SECONDS } from './svid-ttl.ts'
import type { Caller } from './token.ts'

export interface CaServiceOptions {
  readonly ca: Pick<CertificateAuthority, 'sign'>
  /** Who calls, by the request's headers. What it throws becomes UNAUTHENTICATED. */
  readonly authenticate: (headers: Headers) => Promise<Caller> | Caller
  /**
   * Asked when a node's proxy wants a workload's identity: a reason to refuse,
   * or undefined to sign. Istio's rule: a workload of that identity runs on that node.
   */
  readonly authorizeImpersonation: (caller: Caller, requested: SpiffeId) => string | undefined
  /** Lifetime when none is asked for, seconds. Default `DEFAULT_TTL_SECONDS`. */
  readonly defaultTtlSeconds?: number
  /** A longer lifetime is refused, seconds. Default `MAX_TTL_SECONDS`. */
  readonly maxTtlSeconds?: number
  /** A shorter lifetime is refused, seconds. Default `MIN_TTL_SECONDS`. */
  readonly minTtlSeconds?: number
  readonly log?: IdentityLog
}

/** `istio.v1.auth.IstioCertificateService` with istiod's answers and status codes, for a connect-es router. */
export function caRoutes(options: CaServiceOptions): (router: ConnectRouter) => void {
  const { ca, log = silentLog } = options
  return (router) => {
    const service: ServiceImpl<typeof IstioCertificateService> = {
      async createCertificate(request, context) {
        const caller = await authenticated(options, context.requestHeader, request)
        const id = identityToSign(options, caller, request)
        const ttlSeconds = lifetime(options, request.validityDuration)
        try {
          const certChain = await ca.sign({ csrPem: request.csr, id, ttlSeconds })
          log.info(
            { caller: callerText(caller), identity: formatSpiffeId(id), ttlSeconds },
            'certificate signed',
          )
          return { certChain }
        } catch (error) {
          log.warn({ caller: callerText(caller), identity: formatSpiffeId(id), err: error }, 'signing failed')
          throw signingError(error)
        }
      },
    }
    router.service(IstioCertificateService, service, { readMaxBytes: MAX_REQUEST_BYTES })
  }
}

async function authenticated(
  options: CaServiceOptions,
  headers: Headers,
  request: IstioCertificateRequest,
): Promise<Caller> {
  try {
    return await options.authenticate(headers)
  } catch (error) {
    const fields = { requested: requestedText(request.metadata?.[IMPERSONATED_IDENTITY]), err: error }
    options.log?.warn(fields, 'certificate request refused: caller not authenticated')
    // Only our own texts go out: another error's may tell of the server's insides.
    const reason = error instanceof IdentityError ? `: ${error.message}` : ''
    throw new ConnectError(`request authenticate failure${reason}`, Code.Unauthenticated)
  }
}

function identityToSign(
  options: CaServiceOptions,
  caller: Caller,
  request: IstioCertificateRequest,
): SpiffeId {
  const asked = request.metadata?.[IMPERSONATED_IDENTITY]
  if (asked === undefined || asked === '') return caller.id
  const requested = typeof asked === 'string' ? parseSpiffeId(asked) : undefined
  const reason =
    requested === undefined
      ? 'the requested identity is not a SPIFFE id'
      : refusal(options, caller, requested)
  if (requested !== undefined && reason === undefined) return requested
  const fields = { caller: callerText(caller), requested: requestedText(asked), reason }
  options.log?.warn(fields, 'impersonation refused')
  throw new ConnectError(`request impersonation authentication failure: ${reason}`, Code.Unauthenticated)
}

function refusal(options: CaServiceOptions, caller: Caller, requested: SpiffeId): string | undefined {
  const wanted = formatSpiffeId(requested)
  if (wanted === formatSpiffeId(caller.id)) return undefined
  if (caller.kind === 'workload') return `a workload gets its own identity only, ${formatSpiffeId(caller.id)}`
  if (requested.trustDomain !== caller.id.trustDomain) {
    return `${wanted} is not of this CA's trust domain ${caller.id.trustDomain}`
  }
  return options.authorizeImpersonation(caller, requested)
}

function lifetime(options: CaServiceOptions, asked: bigint): number {
  const {
    defaultTtlSeconds = DEFAULT_TTL_SECONDS,
    maxTtlSeconds = MAX_TTL_SECONDS,
    minTtlSeconds = MIN_TTL_SECONDS,
  } = options
  if (asked <= 0n) return defaultTtlSeconds
  if (asked > BigInt(maxTtlSeconds)) {
    const message = `requested lifetime of ${asked} s is above the maximum of ${maxTtlSeconds} s`
    throw new ConnectError(message, Code.InvalidArgument)
  }
  if (asked < BigInt(minTtlSeconds)) {
    const message = `requested lifetime of ${asked} s is below the minimum of ${minTtlSeconds} s`
    throw new ConnectError(message, Code.InvalidArgument)
  }
  return Number(asked)
}

function signingError(error: unknown): ConnectError {
  if (!(error instanceof IdentityError)) return new ConnectError('certificate signing failed', Code.Internal)
  const code = error.code === 'REQUEST_INVALID' ? Code.InvalidArgument : Code.Internal
  return new ConnectError(errorText(error), code)
}

/** For the log: a stranger may have written it. */
function requestedText(asked: unknown): string | undefined {
  if (asked === undefined || asked === '') return undefined
  const text = typeof asked === 'string' ? asked : `a ${typeof asked}`
  return text.length > MAX_LOGGED_CHARS ? `${text.slice(0, MAX_LOGGED_CHARS)}…` : text
}

function callerText(caller: Caller): string {
  return caller.kind === 'node' ? `node ${caller.node}` : formatSpiffeId(caller.id)
}

/** Longer than any identity: three names of at most 253 characters. */
const MAX_LOGGED_CHARS = 1_024
/** Twice the largest CSR and an identity. It is read before the caller is known, so a stranger can make us hold it. */
const MAX_REQUEST_BYTES = 2 * MAX_CSR_BYTES
