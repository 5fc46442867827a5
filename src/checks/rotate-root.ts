import { X509Certificate } from 'node:crypto'
import { z } from 'zod'
import { answered } from './evidence.ts'
import type { Call, Finding, LabCheck } from './model.ts'

export interface RotationEvidence {
  /** `ca` in the config server's `/status`. */
  readonly ca: unknown
  /** The config server's log. */
  readonly log: readonly string[]
  /** `/config_dump` of each node's proxy. */
  readonly dumps: Readonly<Record<string, unknown>>
  /** The root certificates, in PEM, by which each proxy knows the config server. */
  readonly rootFiles: Readonly<Record<string, string>>
  readonly call: Call
}

const PROXIES = ['proxy-a', 'proxy-b']
const ROTATE = 'docker compose exec config-server ztunnel certs rotate'
const ROOT_FILE = '/var/run/ztunnel/root-cert.pem'

/** 05: another root than at the start, trusted by all, and nothing of the old one is left. */
export const rotateRoot: LabCheck<RotationEvidence> = {
  lab: '05-rotate-the-root',
  async gather(mesh) {
    const status = await mesh.ask('config-server', 'http://127.0.0.1:15014/status')
    const each = async <T>(read: (service: string) => Promise<T>): Promise<Record<string, T>> =>
      Object.fromEntries(
        await Promise.all(
          PROXIES.map(async (service): Promise<[string, T]> => [service, await read(service)]),
        ),
      )
    return {
      ca: (status as { ca?: unknown }).ca,
      log: await mesh.logLines('config-server'),
      dumps: await each((service) => mesh.ask(service, 'http://127.0.0.1:15000/config_dump')),
      rootFiles: await each((service) => mesh.read(service, ROOT_FILE)),
      call: await mesh.call('sleep', 'http://httpbin:8000/hello'),
    }
  },
  judge: ({ ca, log, dumps, rootFiles, call }) => {
    const { fingerprint256, roots, olderCertificatesUntil } = CA.parse(ca)
    const older =
      olderCertificatesUntil === undefined
        ? undefined
        : `wait: certificates of before may be in use until ${new Date(olderCertificatesUntil).toISOString()}`
    return [
      {
        what: 'a second root was added before the first was dropped',
        right: log.some((line) => line.includes('CA replaced') && line.includes('roots=2')),
        seen: 'the config server has never had two',
        hint: `${ROTATE} add-root --dir /certs`,
      },
      {
        what: 'one root is left',
        right: roots.length === 1,
        seen: `${roots.length} roots`,
        hint: older ?? `${ROTATE} use-root --dir /certs; when that is done, drop-root`,
      },
      ...PROXIES.map((service) => signedBy(service, dumps[service], fingerprint256, older)),
      ...PROXIES.map((service) =>
        knows(
          service,
          rootFiles[service] ?? '',
          roots.map((root) => root.fingerprint256),
        ),
      ),
      answered(
        call,
        'who does not trust whom? docker compose logs proxy-a proxy-b',
        'sleep reaches httpbin as before',
      ),
    ]
  },
}

const CA = z.object({
  fingerprint256: z.string(),
  roots: z.array(z.object({ fingerprint256: z.string() })),
  olderCertificatesUntil: z.number().optional(),
})
const DUMP = z.object({
  certificates: z.array(
    z.object({ identity: z.string(), certChain: z.array(z.object({ pem: z.string() })).default([]) }),
  ),
})

/** Every certificate's chain has the one that signs now. */
function signedBy(service: string, dump: unknown, fingerprint: string, older: string | undefined): Finding {
  const { certificates } = DUMP.parse(dump)
  const stale = certificates.find(
    ({ certChain }) =>
      !certChain.some(({ pem }) => fingerprints(Buffer.from(pem, 'base64').toString()).includes(fingerprint)),
  )
  return {
    what: `every certificate in ${service} is signed by the CA that is in force`,
    right: certificates.length > 0 && stale === undefined,
    seen: stale === undefined ? 'no certificates' : `that of ${stale.identity} is not`,
    hint: older ?? 'they are renewed at half life: is SECRET_TTL=30s set, as the lab says?',
  }
}

function knows(service: string, pem: string, roots: readonly string[]): Finding {
  const held = fingerprints(pem)
  const right = held.length === roots.length && held.every((one) => roots.includes(one))
  return {
    what: `${service} knows the config server by the same root`,
    right,
    seen: `${held.length} in ${ROOT_FILE}${right ? '' : ', not those of the CA'}`,
    hint: 'hand the new file out: docker compose restart credentials',
  }
}

function fingerprints(pem: string): readonly string[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  return blocks.map((block) => new X509Certificate(block).fingerprint256)
}
