/**
 * `@peculiar/x509`, the parts of it that we use. Import it from here only: its
 * dependency-injection container throws on load unless the metadata API of
 * `Reflect` exists, so the polyfill must be evaluated first. The `lite`
 * flavour brings that API and no substitute collections.
 */
import 'reflect-metadata/lite'

export {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  type JsonGeneralNames,
  type JsonName,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate as ParsedCertificate,
  X509CertificateGenerator,
} from '@peculiar/x509'
