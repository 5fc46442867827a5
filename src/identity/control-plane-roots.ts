import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { getCACertificates } from 'node:tls'
import { errorText, IdentityError } from './errors.ts'
import type { IdentityLog } from './log.ts'
import { pemCertificates } from './pem.ts'

/** Which certificates the control plane's own must lead to: exactly one of the three. */
export interface RootSource {
  readonly rootCertPem?: string
  /** Read again for every call, so that a rotated root needs no restart. */
  readonly rootCertFile?: string
  /** The operating system's store. */
  readonly systemRoots?: boolean
}

/**
 * Returns the current roots, PEM each; the same array as long as nothing
 * changed. A file that has become unreadable or empty is logged and the last
 * good roots stay in use, because a rotation may be half done.
 */
export function controlPlaneRoots(source: RootSource, log: IdentityLog): () => Promise<readonly string[]> {
  const { rootCertFile } = source
  if (rootCertFile === undefined) {
    const fixed = fixedRoots(source)
    return async () => fixed
  }
  let lastText = ''
  let last: readonly string[] | undefined
  return async () => {
    try {
      const text = await readFile(rootCertFile, 'utf8')
      if (last === undefined || text !== lastText) last = parsedRoots(text, rootCertFile)
      lastText = text
      return last
    } catch (error) {
      const problem = unreadable(rootCertFile, error)
      if (last === undefined) throw problem
      log.warn({ err: problem }, 'root certificate file cannot be used; keeping the last good roots')
      return last
    }
  }
}

function fixedRoots(source: RootSource): readonly string[] {
  if (source.rootCertPem !== undefined) return parsedRoots(source.rootCertPem, 'the inline root certificate')
  if (source.systemRoots === true) return getCACertificates('system')
  throw new IdentityError('CONTROL_PLANE_INVALID', 'no root certificate for the control plane is configured')
}

/** A path that was mistyped must not become an empty trust store that fails each handshake without saying why. */
function parsedRoots(text: string, origin: string): readonly string[] {
  const roots = pemCertificates(text)
  if (roots.length === 0) {
    throw new IdentityError('CONTROL_PLANE_INVALID', `${origin} holds no PEM certificate`)
  }
  for (const pem of roots) {
    try {
      new X509Certificate(pem)
    } catch (error) {
      const message = `${origin} holds a certificate that cannot be parsed: ${errorText(error)}`
      throw new IdentityError('CONTROL_PLANE_INVALID', message, { cause: error })
    }
  }
  return roots
}

function unreadable(file: string, error: unknown): IdentityError {
  if (error instanceof IdentityError) return error
  const message = `cannot read the control plane's root certificate ${file}: ${errorText(error)}`
  return new IdentityError('CONTROL_PLANE_INVALID', message, { cause: error })
}
