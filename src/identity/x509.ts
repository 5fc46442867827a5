import { createRequire } from 'node:module'
import type * as X509 from '@peculiar/x509'

export type {
  ExtendedKeyUsage,
  Extension,
  JsonGeneralNames,
  JsonName,
  X509Certificate as ParsedCertificate,
} from '@peculiar/x509'

/**
 * `@peculiar/x509`, loaded when a CA first makes or reads a certificate: it
 * takes 20 MB of memory, and a node proxy, which only asks for certificates,
 * needs none of it. Get it from here only: its dependency-injection container
 * throws on load unless the metadata API of `Reflect` exists, so the polyfill
 * must be evaluated first. The `lite` flavour brings that API and no
 * substitute collections.
 */
export function x509(): typeof X509 {
  load('reflect-metadata/lite')
  return load('@peculiar/x509')
}

const load = createRequire(import.meta.url)
