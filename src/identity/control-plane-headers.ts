import { readFile } from 'node:fs/promises'
import { errorText, IdentityError } from './errors.ts'

/** What every call to the control plane carries besides its message. */
export interface ControlPlaneCredentials {
  /** Called for every call; undefined sends no authorization. */
  readonly token?: () => Promise<string> | string
  /** CLUSTER_ID, sent as `clusterid`. */
  readonly clusterId?: string
  /** Extra metadata (CA_HEADER_*, XDS_HEADER_*). */
  readonly headers?: Readonly<Record<string, string>>
}

/** The gRPC metadata of one call. Throws `IdentityError` TOKEN_INVALID for a token that no header can carry. */
export async function controlPlaneHeaders(credentials: ControlPlaneCredentials): Promise<Headers> {
  const headers = new Headers({ ...credentials.headers })
  if (credentials.clusterId !== undefined) headers.set('clusterid', credentials.clusterId)
  if (credentials.token !== undefined)
    headers.set('authorization', `Bearer ${checked(await credentials.token())}`)
  return headers
}

/** A token file that is read for every call: Kubernetes rotates projected tokens in place. */
export function tokenFile(path: string): () => Promise<string> {
  return async () => {
    let text: string
    try {
      text = await readFile(path, 'utf8')
    } catch (error) {
      const message = `cannot read the token file ${path}: ${errorText(error)}`
      throw new IdentityError('TOKEN_INVALID', message, { cause: error })
    }
    if (text.trim() === '') throw new IdentityError('TOKEN_INVALID', `the token file ${path} is empty`)
    return text
  }
}

/** Editors and `echo` end a file with a newline; the reference sends it and fails. */
function checked(token: string): string {
  const text = token.trim()
  if (HEADER_TEXT.test(text)) return text
  const message =
    'the token is empty or holds spaces or control characters; it must be one line of printable text'
  throw new IdentityError('TOKEN_INVALID', message)
}

const HEADER_TEXT = /^[\x21-\x7e]+$/
