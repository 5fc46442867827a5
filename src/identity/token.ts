import { randomUUID } from 'node:crypto'
import type { errors, JWTPayload } from 'jose'
import { errorText, IdentityError } from './errors.ts'
import { type SpiffeId, spiffeIdProblem } from './spiffe-id.ts'
import { loadOrCreateTokenKey, type TokenKey } from './token-key.ts'

/** Who presents a token: a node's proxy, or one workload. */
export type Caller = (
  | { readonly kind: 'node'; readonly node: string; readonly id: SpiffeId }
  | { readonly kind: 'workload'; readonly id: SpiffeId; readonly node?: string }
) & {
  /** Milliseconds since the epoch: what the token is good for must end then. Undefined for one that never ends. */
  readonly expiresAt?: number
}

export interface TokenIssuerOptions {
  /** Of every identity that this issuer vouches for. Default `cluster.local`. */
  readonly trustDomain?: string
  /** Milliseconds since the epoch. Default `Date.now`. */
  readonly now?: () => number
}

export interface NodeTokenRequest {
  readonly node: string
  readonly ttlSeconds: number
}

export interface WorkloadTokenRequest {
  readonly namespace: string
  readonly serviceAccount: string
  readonly pod?: string
  readonly node?: string
  readonly ttlSeconds: number
}

/** Istio's token audience (`TOKEN_AUDIENCES`). */
export const TOKEN_AUDIENCE = 'istio-ca'
/** Istio's trusted node account (`CA_TRUSTED_NODE_ACCOUNTS`): only its tokens are a node's. */
export const NODE_ACCOUNT = { namespace: 'istio-system', serviceAccount: 'ztunnel' } as const

/**
 * Issues and checks bearer tokens in the shape of Kubernetes bound
 * service-account tokens, so that both ends treat ours and a cluster's alike.
 * ES256 with one key; nothing else is accepted.
 */
export class TokenIssuer {
  readonly #key: TokenKey
  readonly #trustDomain: string
  readonly #now: () => number

  constructor(key: TokenKey, options: TokenIssuerOptions = {}) {
    this.#key = key
    this.#trustDomain = options.trustDomain ?? 'cluster.local'
    this.#now = options.now ?? Date.now
  }

  /** With the key in a file (`token-key.pem`, mode 0600), made on first use. */
  static async loadOrCreate(file: string, options: TokenIssuerOptions = {}): Promise<TokenIssuer> {
    return new TokenIssuer(await loadOrCreateTokenKey(file), options)
  }

  /** For the proxy of one node: it may ask for the identities of workloads there. */
  async issueNodeToken({ node, ttlSeconds }: NodeTokenRequest): Promise<string> {
    if (node === '') throw new IdentityError('TOKEN_INVALID', 'a node token needs the name of its node')
    return this.#issue({ ...NODE_ACCOUNT, node }, ttlSeconds)
  }

  /** For one workload: it gets its own identity only. */
  async issueWorkloadToken({ ttlSeconds, ...account }: WorkloadTokenRequest): Promise<string> {
    if (isNodeAccount(account)) {
      const message = `${NODE_ACCOUNT.namespace}/${NODE_ACCOUNT.serviceAccount} is the node proxies' account; issue a node token`
      throw new IdentityError('TOKEN_INVALID', message)
    }
    return this.#issue(account, ttlSeconds)
  }

  /** Throws `IdentityError` TOKEN_INVALID with the reason. */
  async verify(token: string): Promise<Caller> {
    if (token.length > MAX_TOKEN_CHARS) {
      throw new IdentityError(
        'TOKEN_INVALID',
        `token of ${token.length} characters; at most ${MAX_TOKEN_CHARS} are read`,
      )
    }
    return callerOf(await this.#verifiedClaims(token), this.#trustDomain)
  }

  async #issue(account: Omit<WorkloadTokenRequest, 'ttlSeconds'>, ttlSeconds: number): Promise<string> {
    const { namespace, serviceAccount, pod, node } = account
    const problem = spiffeIdProblem({ trustDomain: this.#trustDomain, namespace, serviceAccount })
    if (problem !== undefined) throw new IdentityError('TOKEN_INVALID', `cannot issue a token: ${problem}`)
    if (!(ttlSeconds > 0 && ttlSeconds <= MAX_TOKEN_TTL_SECONDS)) {
      const message = `token lifetime of ${ttlSeconds} s; it must be above 0 and at most ${MAX_TOKEN_TTL_SECONDS} s`
      throw new IdentityError('TOKEN_INVALID', message)
    }
    const issuedAt = Math.floor(this.#now() / 1000)
    const bound = {
      namespace,
      serviceaccount: { name: serviceAccount },
      ...(node === undefined ? {} : { node: { name: node } }),
      ...(pod === undefined ? {} : { pod: { name: pod } }),
    }
    // Loaded here: a proxy reads its token from a file and never looks inside.
    const { SignJWT } = await import('jose')
    return new SignJWT({ [KUBERNETES_CLAIM]: bound })
      .setProtectedHeader({ alg: ALGORITHM, kid: this.#key.keyId })
      .setIssuer(ISSUER)
      .setSubject(`${SUBJECT_PREFIX}${namespace}:${serviceAccount}`)
      .setAudience(TOKEN_AUDIENCE)
      .setIssuedAt(issuedAt)
      .setNotBefore(issuedAt - CLOCK_TOLERANCE_SECONDS)
      .setExpirationTime(issuedAt + Math.ceil(ttlSeconds))
      .setJti(randomUUID())
      .sign(this.#key.privateKey)
  }

  async #verifiedClaims(token: string): Promise<JWTPayload> {
    const { errors: joseErrors, jwtVerify } = await import('jose')
    try {
      const { payload } = await jwtVerify(token, this.#key.publicKey, {
        // Never the header's choice: that is how "alg: none" and key confusion get in.
        algorithms: [ALGORITHM],
        issuer: ISSUER,
        audience: TOKEN_AUDIENCE,
        requiredClaims: ['sub', 'exp', 'iat'],
        currentDate: new Date(this.#now()),
      })
      return payload
    } catch (error) {
      throw new IdentityError('TOKEN_INVALID', refusal(error, joseErrors), { cause: error })
    }
  }
}

/**
 * The token of an `authorization: Bearer …` header. Throws `IdentityError`
 * TOKEN_INVALID when the header is missing or of another scheme.
 */
export function bearerToken(headers: Headers): string {
  const value = headers.get('authorization')
  if (value === null) {
    throw new IdentityError('TOKEN_INVALID', 'no bearer token: the request has no authorization header')
  }
  const match = /^bearer +([^\s,]+)$/i.exec(value)
  if (match?.[1] === undefined) {
    throw new IdentityError('TOKEN_INVALID', 'the authorization header is not "Bearer" followed by one token')
  }
  return match[1]
}

function callerOf(claims: JWTPayload, trustDomain: string): Caller {
  const [namespace, serviceAccount, extra] = (claims.sub ?? '').startsWith(SUBJECT_PREFIX)
    ? (claims.sub ?? '').slice(SUBJECT_PREFIX.length).split(':')
    : []
  if (namespace === undefined || serviceAccount === undefined || extra !== undefined) {
    throw new IdentityError('TOKEN_INVALID', `the token's subject "${claims.sub}" is not a service account`)
  }
  const id: SpiffeId = { trustDomain, namespace, serviceAccount }
  const problem = spiffeIdProblem(id)
  if (problem !== undefined) throw new IdentityError('TOKEN_INVALID', `the token's subject: ${problem}`)
  const bound = asObject(claims[KUBERNETES_CLAIM])
  if (bound['namespace'] !== namespace || nameIn(bound, 'serviceaccount') !== serviceAccount) {
    throw new IdentityError('TOKEN_INVALID', `the token's ${KUBERNETES_CLAIM} claim is not about its subject`)
  }
  const node = nameIn(bound, 'node')
  const validity = claims.exp === undefined ? {} : { expiresAt: claims.exp * 1000 }
  if (!isNodeAccount(id))
    return { kind: 'workload', id, ...(node === undefined ? {} : { node }), ...validity }
  if (node === undefined) {
    const message = `the token of ${namespace}/${serviceAccount} is not bound to a node; issue one with "ztunnel token create --node NAME"`
    throw new IdentityError('TOKEN_INVALID', message)
  }
  return { kind: 'node', node, id, ...validity }
}

function isNodeAccount(account: { readonly namespace: string; readonly serviceAccount: string }): boolean {
  return (
    account.namespace === NODE_ACCOUNT.namespace && account.serviceAccount === NODE_ACCOUNT.serviceAccount
  )
}

function nameIn(bound: Readonly<Record<string, unknown>>, kind: string): string | undefined {
  const name = asObject(bound[kind])['name']
  return typeof name === 'string' && name !== '' ? name : undefined
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

function refusal(error: unknown, joseErrors: typeof errors): string {
  if (error instanceof joseErrors.JWTExpired) {
    return `the token expired at ${expiryText(error.payload.exp)}; put a fresh one in its place`
  }
  if (error instanceof joseErrors.JWSSignatureVerificationFailed) {
    return "the token's signature is not of this config server's key (token-key.pem)"
  }
  if (error instanceof joseErrors.JWTClaimValidationFailed) {
    if (error.claim === 'aud')
      return `the token is for audience ${JSON.stringify(error.payload.aud)}, not "${TOKEN_AUDIENCE}"`
    return `the token's claim "${error.claim}" is wrong: ${error.message}`
  }
  return `the token cannot be read: ${errorText(error)}`
}

function expiryText(seconds: number | undefined): string {
  return seconds === undefined ? 'an unknown time' : new Date(seconds * 1000).toISOString()
}

const ALGORITHM = 'ES256'
const ISSUER = 'ztunnel-config-server'
const SUBJECT_PREFIX = 'system:serviceaccount:'
const KUBERNETES_CLAIM = 'kubernetes.io'
/** A verifier's clock may be this far behind ours. */
const CLOCK_TOLERANCE_SECONDS = 60
/** A year: longer-lived bearer tokens should be replaced by issuing again. */
const MAX_TOKEN_TTL_SECONDS = 366 * 86_400
/** Ours have about 600, Kubernetes' about 1,200. */
const MAX_TOKEN_CHARS = 16 * 1024
