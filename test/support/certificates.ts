import type { MeshLab } from '../../src/lab/mesh-lab.ts'

/** One certificate as `/config_dump` shows it. */
export interface DumpedCertificate {
  readonly pem: string
  readonly serialNumber: string
  /** Milliseconds since the epoch. */
  readonly expires: number
}

/** A proxy's certificate for one identity: leaf and intermediates, and the roots that came with it. */
export interface DumpedIdentity {
  readonly identity: string
  readonly state: string
  readonly chain: readonly DumpedCertificate[]
  readonly roots: readonly DumpedCertificate[]
}

/** The certificates of a node's proxy or of a pod's sidecar. */
export async function certificatesOf(lab: MeshLab, nodeOrPod: string): Promise<readonly DumpedIdentity[]> {
  const { body } = await lab.admin(nodeOrPod, '/config_dump')
  const dump = JSON.parse(body) as { certificates: RawIdentity[] }
  return dump.certificates.map(({ identity, state, certChain, rootCerts }) => ({
    identity,
    state,
    chain: certChain.map(certificate),
    roots: rootCerts.map(certificate),
  }))
}

interface RawCertificate {
  readonly pem: string
  readonly serialNumber: string
  readonly expirationTime: string
}

interface RawIdentity {
  readonly identity: string
  readonly state: string
  readonly certChain: readonly RawCertificate[]
  readonly rootCerts: readonly RawCertificate[]
}

function certificate({ pem, serialNumber, expirationTime }: RawCertificate): DumpedCertificate {
  return {
    pem: Buffer.from(pem, 'base64').toString(),
    serialNumber,
    expires: Date.parse(expirationTime),
  }
}
