import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto'
import { link, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { errnoOf, errorText, IdentityError } from './errors.ts'

/** The key pair that signs and checks bearer tokens, ECDSA P-256. */
export interface TokenKey {
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  /** Names the key in tokens' headers. */
  readonly keyId: string
}

/** In memory only. */
export function createTokenKey(): TokenKey {
  return tokenKey(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
}

/**
 * Reads the key from a PEM file, or makes file (mode 0600) and key. Processes
 * that start at once agree on one key. Throws `IdentityError` CA_FILES_INVALID.
 */
export async function loadOrCreateTokenKey(file: string): Promise<TokenKey> {
  return (await readTokenKey(file)) ?? (await createTokenKeyFile(file))
}

async function readTokenKey(file: string): Promise<TokenKey | undefined> {
  let pem: string
  try {
    pem = await readFile(file, 'utf8')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw new IdentityError('CA_FILES_INVALID', `cannot read ${file}: ${errorText(error)}`, { cause: error })
  }
  try {
    const key = createPrivateKey(pem)
    if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw new Error('not an EC P-256 key')
    return tokenKey(key)
  } catch (error) {
    const message = `${file}: cannot be used as the key of tokens: ${errorText(error)}; remove it to have a new one made (tokens issued so far become invalid)`
    throw new IdentityError('CA_FILES_INVALID', message, { cause: error })
  }
}

/** Written beside, then linked: a reader never finds half a key, and the first of several writers wins. */
async function createTokenKeyFile(file: string): Promise<TokenKey> {
  const made = createTokenKey()
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 })
    const staging = await mkdtemp(join(dirname(file), '.token-key-'))
    try {
      const pem = made.privateKey.export({ type: 'pkcs8', format: 'pem' })
      await writeFile(join(staging, 'key.pem'), pem, { mode: 0o600, flush: true })
      await link(join(staging, 'key.pem'), file)
      return made
    } finally {
      await rm(staging, { recursive: true, force: true })
    }
  } catch (error) {
    const winner = errnoOf(error) === 'EEXIST' ? await readTokenKey(file) : undefined
    if (winner !== undefined) return winner
    throw new IdentityError('CA_FILES_INVALID', `cannot write ${file}: ${errorText(error)}`, { cause: error })
  }
}

function tokenKey(privateKey: KeyObject): TokenKey {
  const publicKey = createPublicKey(privateKey)
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  return { privateKey, publicKey, keyId: createHash('sha256').update(spki).digest('base64url') }
}
