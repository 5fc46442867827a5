import { createHash, createHmac, createPrivateKey, randomBytes, X509Certificate } from 'node:crypto'
import { ContentInfo, id_data } from '@peculiar/asn1-cms'
import {
  AuthenticatedSafe,
  CertBag,
  id_certBag,
  id_pkcs8ShroudedKeyBag,
  id_x509Certificate,
  MacData,
  PFX,
  PKCS12Attribute,
  SafeBag,
  SafeContents,
} from '@peculiar/asn1-pfx'
import { DigestInfo, sha256 } from '@peculiar/asn1-rsa'
import {
  AsnBmpStringConverter,
  AsnObjectIdentifierConverter,
  AsnSerializer,
  OctetString,
} from '@peculiar/asn1-schema'

/** What a key store holds: one key with its chain, and the roots to trust. PEM. */
export interface Pkcs12Contents {
  /** The key entry's name (alias). */
  readonly name: string
  /** PKCS#8. */
  readonly privateKeyPem: string
  /** Leaf first, without roots. */
  readonly certificateChain: readonly string[]
  readonly roots: readonly string[]
}

/**
 * A PKCS#12 key store (RFC 7292), DER. The key is encrypted with AES-256-CBC
 * (PBES2, PBKDF2 with HMAC-SHA-256), the whole bears an HMAC-SHA-256; the
 * certificates, which every peer sees, are in the clear. The roots carry the
 * attribute by which Java knows a trusted certificate, so that one file is key
 * store and trust store.
 */
export function createPkcs12(contents: Pkcs12Contents, password: string): Buffer {
  const { name, privateKeyPem, certificateChain, roots } = contents
  const [leaf = '', ...intermediates] = certificateChain
  const bound = [attribute(FRIENDLY_NAME, bmpString(name)), attribute(LOCAL_KEY_ID, localKeyId(leaf))]
  const certificates = new SafeContents([
    certificateBag(leaf, bound),
    ...intermediates.map((pem) => certificateBag(pem, [])),
    ...roots.map((pem, index) =>
      certificateBag(pem, [
        attribute(FRIENDLY_NAME, bmpString(`root-${index + 1}`)),
        attribute(TRUSTED_KEY_USAGE, objectIdentifier(ANY_EXTENDED_KEY_USAGE)),
      ]),
    ),
  ])
  const key = new SafeBag({
    bagId: id_pkcs8ShroudedKeyBag,
    bagValue: arrayBuffer(encryptedKey(privateKeyPem, password)),
    bagAttributes: bound,
  })
  const safe = new AuthenticatedSafe([dataOf(certificates), dataOf(new SafeContents([key]))])
  const authenticated = AsnSerializer.serialize(safe)
  const pfx = new PFX({
    authSafe: data(authenticated),
    macData: mac(Buffer.from(authenticated), password),
  })
  return Buffer.from(AsnSerializer.serialize(pfx))
}

function certificateBag(pem: string, bagAttributes: PKCS12Attribute[]): SafeBag {
  const certValue = octetString(new X509Certificate(pem).raw)
  const bag = new CertBag({ certId: id_x509Certificate, certValue })
  return new SafeBag({
    bagId: id_certBag,
    bagValue: AsnSerializer.serialize(bag),
    ...(bagAttributes.length === 0 ? {} : { bagAttributes }),
  })
}

/** EncryptedPrivateKeyInfo, by OpenSSL, which derives with HMAC-SHA-256. */
function encryptedKey(privateKeyPem: string, password: string): Buffer {
  const key = createPrivateKey(privateKeyPem)
  return key.export({ type: 'pkcs8', format: 'der', cipher: 'aes-256-cbc', passphrase: password })
}

function mac(content: Buffer, password: string): MacData {
  const salt = randomBytes(SALT_BYTES)
  const digest = createHmac('sha256', macKey(password, salt)).update(content).digest()
  return new MacData({
    mac: new DigestInfo({ digestAlgorithm: sha256, digest: new OctetString(digest) }),
    macSalt: new OctetString(salt),
    iterations: MAC_ITERATIONS,
  })
}

/**
 * RFC 7292 appendix B.2 with SHA-256 and ID 3. A MAC key is as long as one
 * digest, so the step that chains further blocks never comes.
 */
function macKey(password: string, salt: Buffer): Buffer {
  // Two bytes a character, big endian, with a final NUL character (appendix B.1).
  const text = Buffer.from(`${password}\0`, 'utf16le').swap16()
  const input = [Buffer.alloc(SHA256_BLOCK_BYTES, MAC_KEY_ID), toBlocks(salt), toBlocks(text)]
  let key: Buffer = Buffer.concat(input)
  for (let round = 0; round < MAC_ITERATIONS; round++) key = createHash('sha256').update(key).digest()
  return key
}

/** Repeated up to the next multiple of the hash's block. */
function toBlocks(bytes: Buffer): Buffer {
  return Buffer.alloc(Math.ceil(bytes.length / SHA256_BLOCK_BYTES) * SHA256_BLOCK_BYTES, bytes)
}

function dataOf(contents: SafeContents): ContentInfo {
  return data(AsnSerializer.serialize(contents))
}

function data(der: ArrayBuffer): ContentInfo {
  return new ContentInfo({ contentType: id_data, content: octetString(der) })
}

function attribute(attrId: string, value: ArrayBuffer): PKCS12Attribute {
  // Version 2.11's constructor drops what it is given.
  return Object.assign(new PKCS12Attribute(), { attrId, attrValues: [value] })
}

function localKeyId(leafPem: string): ArrayBuffer {
  return octetString(createHash('sha1').update(new X509Certificate(leafPem).raw).digest())
}

function octetString(bytes: ArrayBuffer | Buffer): ArrayBuffer {
  return new OctetString(bytes).toASN().toBER()
}

function bmpString(text: string): ArrayBuffer {
  return AsnBmpStringConverter.toASN(text).toBER()
}

function objectIdentifier(oid: string): ArrayBuffer {
  return AsnObjectIdentifierConverter.toASN(oid).toBER()
}

function arrayBuffer(bytes: Buffer): ArrayBuffer {
  return new Uint8Array(bytes).buffer
}

/** PKCS#9. */
const FRIENDLY_NAME = '1.2.840.113549.1.9.20'
const LOCAL_KEY_ID = '1.2.840.113549.1.9.21'
/** Oracle's, and its value for "trusted for everything". */
const TRUSTED_KEY_USAGE = '2.16.840.1.113894.746875.1.1'
const ANY_EXTENDED_KEY_USAGE = '2.5.29.37.0'
/** RFC 7292 appendix B.3: key material for a MAC. */
const MAC_KEY_ID = 3
/** FIPS 180-4: the block into which salt and password are filled. */
const SHA256_BLOCK_BYTES = 64
/** NIST SP 800-132 asks for as many at least. */
const SALT_BYTES = 16
/** Java's default; OpenSSL has 2,048. */
const MAC_ITERATIONS = 10_000
