import { type Client, Code, ConnectError, createClient } from '@connectrpc/connect'
import { IstioCertificateService } from '../gen/istio/v1/auth/ca_pb.ts'
import {
  type ControlPlaneOptions,
  type ControlPlaneTransport,
  controlPlaneTransport,
} from './control-plane.ts'
import { type ControlPlaneCredentials, controlPlaneHeaders } from './control-plane-headers.ts'
import { createCsr } from './csr.ts'
import { IdentityError } from './errors.ts'
import { IMPERSONATED_IDENTITY } from './impersonation.ts'
import { generateKeyPair, privateKeyPem } from './keys.ts'
import { silentLog } from './log.ts'
import { formatSpiffeId, type SpiffeId } from './spiffe-id.ts'
import type { Svid } from './svid.ts'
import { createSvid } from './x509-svid.ts'

export interface CaClientOptions extends ControlPlaneOptions, ControlPlaneCredentials {
  /** Names the wanted identity in the request, as a proxy shared by a node's workloads must. False: the token alone decides. */
  readonly impersonate: boolean
  /** Lifetime to ask for, seconds (SECRET_TTL). */
  readonly ttlSeconds: number
}

/** Gets certificates from Istio's certificate service: istiod's, istio-csr's or ours. */
export class CaClient {
  readonly #options: CaClientOptions
  readonly #transport: ControlPlaneTransport
  readonly #client: Client<typeof IstioCertificateService>

  /** Throws `IdentityError` CONTROL_PLANE_INVALID for an unusable address or root. Connects on first use. */
  constructor(options: CaClientOptions) {
    this.#options = options
    this.#transport = controlPlaneTransport(options)
    this.#client = createClient(IstioCertificateService, this.#transport)
  }

  /**
   * A fresh key and a certificate for it. Throws `IdentityError`:
   * SIGNING_FAILED (the CA refused or was not reached), CHAIN_INVALID (its
   * answer is not usable), TOKEN_INVALID, CONTROL_PLANE_INVALID.
   */
  async fetch(id: SpiffeId, signal?: AbortSignal): Promise<Svid> {
    const keys = await generateKeyPair()
    const request = {
      csr: await createCsr(id, keys),
      validityDuration: BigInt(Math.floor(this.#options.ttlSeconds)),
      ...(this.#options.impersonate ? { metadata: { [IMPERSONATED_IDENTITY]: formatSpiffeId(id) } } : {}),
    }
    const certChainPem = await this.#createCertificate(request, id, signal)
    const { log = silentLog } = this.#options
    const identity = formatSpiffeId(id)
    const warn = (message: string): void => log.warn({ identity }, message)
    return createSvid({ id, privateKeyPem: privateKeyPem(keys.privateKey), certChainPem, warn })
  }

  /** Ends the connection; calls under way fail. */
  close(): void {
    this.#transport.close()
  }

  async #createCertificate(
    request: Parameters<Client<typeof IstioCertificateService>['createCertificate']>[0],
    id: SpiffeId,
    signal: AbortSignal | undefined,
  ): Promise<readonly string[]> {
    const headers = await controlPlaneHeaders(this.#options)
    try {
      const answer = await this.#client.createCertificate(request, {
        headers,
        timeoutMs: CALL_TIMEOUT_MS,
        ...(signal === undefined ? {} : { signal }),
      })
      return answer.certChain
    } catch (error) {
      if (error instanceof IdentityError) throw error
      throw signingFailure(error, this.#options.address, id)
    }
  }
}

function signingFailure(error: unknown, address: string, id: SpiffeId): IdentityError {
  const { code, rawMessage } = ConnectError.from(error)
  const message = `signing gRPC error (${Code[code]}): ${rawMessage}; asked CA ${address} for ${formatSpiffeId(id)}; check ${whatToCheck(code)}`
  return new IdentityError('SIGNING_FAILED', message, { cause: error })
}

function whatToCheck(code: Code): string {
  switch (code) {
    case Code.Unauthenticated:
    case Code.PermissionDenied:
      return 'the token (AUTH_TOKEN), and that a workload of this identity runs on the node the token is bound to'
    case Code.Unavailable:
    case Code.DeadlineExceeded:
      return 'CA_ADDRESS, that the CA listens there, CA_ROOT_CA, and the names in its certificate (ALT_CA_HOSTNAME)'
    case Code.InvalidArgument:
      return 'SECRET_TTL'
    default:
      return "the CA's log"
  }
}

/** The reference sets none and waits for ever on a CA that hangs. */
const CALL_TIMEOUT_MS = 30_000
