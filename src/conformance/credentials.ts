import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type CaMaterial,
  CertificateAuthority,
  createInMemoryCa,
  exportPrivateKeyPem,
  formatSpiffeId,
  loadCa,
  parseSpiffeId,
  type SpiffeId,
} from '../identity/index.ts'
import { ConformanceError, errorText } from './errors.ts'
import { oddCertificate } from './odd-certificate.ts'

/** One client's key and certificates, PEM. */
export interface Credentials {
  readonly key: string
  /** Leaf, then intermediates. */
  readonly chain: string
  /** Whom it believes. */
  readonly roots: string
}

/** Clients that a target must not let in. Without a CA there is but the first. */
export type BadClient =
  | 'foreign-root'
  | 'expired'
  | 'not-yet-valid'
  | 'other-trust-domain'
  | 'no-spiffe-id'
  | 'server-only'

/** Who we are: one that the target shall believe, and on demand some that it shall not. */
export interface ClientIdentity {
  readonly good: Credentials
  readonly hasCa: boolean
  bad(kind: BadClient): Promise<Credentials>
}

export interface IdentityOptions {
  /**
   * A folder with `key.pem`, `cert-chain.pem` and `root-cert.pem` of a client,
   * or one with a CA (`ca-key.pem` and its fellows), which then signs for `id`.
   */
  readonly certs: string
  /** A folder with the CA of the target's mesh, for certificates that the target must refuse. */
  readonly ca?: string | undefined
  readonly id: SpiffeId
}

/** Reads the folders. Throws `ConformanceError` CERTS_INVALID, which says what is missing. */
export async function loadIdentity({ certs, ca, id }: IdentityOptions): Promise<ClientIdentity> {
  const client = await readClient(certs)
  const material = await loadMaterial(ca ?? (client === undefined ? certs : undefined))
  if (client === undefined && material === undefined) throw nothingIn(certs)
  return identityOf(client, material, id)
}

/** An identity of a CA that is at hand. */
export async function identityOf(
  client: Credentials | undefined,
  material: CaMaterial | undefined,
  id: SpiffeId,
): Promise<ClientIdentity> {
  const good = client ?? (material === undefined ? undefined : await issue(material, id))
  if (good === undefined) throw new ConformanceError('CERTS_INVALID', 'there is neither a client nor a CA')
  const foreign = createInMemoryCa({ trustDomain: id.trustDomain })
  return {
    good,
    hasCa: material !== undefined,
    bad: async (kind) => {
      // The foreign client knows the true roots, so that it is the target that refuses.
      if (kind === 'foreign-root') return { ...(await issue(await foreign, id)), roots: good.roots }
      if (material === undefined)
        throw new ConformanceError('CERTS_INVALID', `no CA to make a client that is ${kind}`)
      return mint(material, id, kind)
    },
  }
}

async function mint(material: CaMaterial, id: SpiffeId, kind: BadClient): Promise<Credentials> {
  switch (kind) {
    case 'expired':
      return issue(material, id, -AWAY_SECONDS)
    case 'not-yet-valid':
      return issue(material, id, AWAY_SECONDS)
    case 'other-trust-domain':
      return issue(material, { ...id, trustDomain: 'elsewhere.example' })
    case 'no-spiffe-id':
      return oddCertificate(material, { dnsName: 'client.example' })
    case 'server-only':
      return oddCertificate(material, { uri: formatSpiffeId(id), serverOnly: true })
    default:
      return issue(await createInMemoryCa(), id)
  }
}

/** A certificate of an hour that begins so many seconds from now. */
async function issue(material: CaMaterial, id: SpiffeId, fromNow = 0): Promise<Credentials> {
  // The CA's own notBefore does not matter: nobody asks whether a leaf is older.
  const authority = new CertificateAuthority(material, { now: () => Date.now() + fromNow * 1000 })
  const svid = await authority.issueSvid(id, CERTIFICATE_SECONDS)
  return { key: exportPrivateKeyPem(svid), chain: svid.certificateChain.join(''), roots: svid.roots.join('') }
}

async function readClient(dir: string): Promise<Credentials | undefined> {
  const read = (name: string): Promise<string> => readFile(join(dir, name), 'utf8')
  const key = await read('key.pem').catch(() => undefined)
  if (key === undefined) return undefined
  try {
    return { key, chain: await read('cert-chain.pem'), roots: await read('root-cert.pem') }
  } catch (error) {
    throw new ConformanceError('CERTS_INVALID', `${dir} has a key.pem, but: ${errorText(error)}`, {
      cause: error,
    })
  }
}

async function loadMaterial(dir: string | undefined): Promise<CaMaterial | undefined> {
  if (dir === undefined) return undefined
  return loadCa(dir).catch((error: unknown) => {
    const message = `${dir} has neither a client (key.pem, cert-chain.pem, root-cert.pem) nor a CA: ${errorText(error)}`
    throw new ConformanceError('CERTS_INVALID', message, { cause: error })
  })
}

function nothingIn(dir: string): ConformanceError {
  return new ConformanceError('CERTS_INVALID', `${dir} has neither key.pem nor ca-key.pem`)
}

/** Of a SPIFFE id's text. Throws `ConformanceError` OPTION_INVALID. */
export function spiffeIdOf(text: string): SpiffeId {
  const id = parseSpiffeId(text)
  if (id !== undefined) return id
  throw new ConformanceError(
    'OPTION_INVALID',
    `${text} is no SPIFFE id of Istio's form, spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT`,
  )
}

/** A certificate's lifetime: longer than any run. */
const CERTIFICATE_SECONDS = 3_600
/** How far in the past, or the future, a wrong one is: beyond any difference of clocks that a target may forgive. */
const AWAY_SECONDS = 86_400
