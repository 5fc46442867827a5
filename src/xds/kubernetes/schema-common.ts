import ipaddr from 'ipaddr.js'
import { z } from 'zod'
import type { ObjectMeta } from './objects.ts'

const DNS_LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/
const DNS_SUBDOMAIN = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/

/** RFC 1123 label: what a namespace may be called. */
export const dnsLabel = z.string().regex(DNS_LABEL, {
  error: 'expected a DNS label: lower-case letters, digits and "-", 63 characters at most',
})

/** RFC 1123 subdomain: what most objects may be called. Names become parts of SPIFFE ids and resource names. */
export const dnsSubdomain = z.string().regex(DNS_SUBDOMAIN, {
  error: 'expected a DNS name: lower-case letters, digits, "-" and ".", 253 characters at most',
})

/** An IP address, as canonical text. */
export const ipAddress = z.string().transform((text, context) => {
  if (!ipaddr.IPv4.isValidFourPartDecimal(text) && !ipaddr.IPv6.isValid(text)) {
    context.addIssue({ code: 'custom', message: `expected an IPv4 or IPv6 address, got "${text}"` })
    return z.NEVER
  }
  return ipaddr.process(text).toString()
})

export const portNumber = z
  .int({ error: 'expected a port number from 1 to 65535' })
  .min(1, { error: 'expected a port number from 1 to 65535' })
  .max(65535, { error: 'expected a port number from 1 to 65535' })

export const transportProtocol = z
  .enum(['TCP', 'UDP', 'SCTP'], { error: 'expected TCP, UDP or SCTP' })
  .nullish()

/** A map of text to text, absent or null alike meaning empty, as the Kubernetes API reads it. */
export const stringMap = z
  .record(z.string(), z.string({ error: 'expected text: put quotes around it' }))
  .nullish()
  .transform((map) => map ?? {})

const ownerReference = z
  .object({ kind: z.string(), name: z.string(), controller: z.boolean().nullish() })
  .transform(({ kind, name, controller }) => ({ kind, name, controller: controller ?? false }))

/** What the API server and its clients write into metadata besides; nothing here depends on it. */
const bookkeeping = z.unknown().optional()

const metaFields = {
  uid: bookkeeping,
  resourceVersion: bookkeeping,
  generation: bookkeeping,
  generateName: bookkeeping,
  selfLink: bookkeeping,
  finalizers: bookkeeping,
  managedFields: bookkeeping,
  deletionGracePeriodSeconds: bookkeeping,
  labels: stringMap,
  annotations: stringMap,
  creationTimestamp: z.string().nullish(),
  deletionTimestamp: z.string().nullish(),
  ownerReferences: z.array(ownerReference).nullish(),
}

/**
 * Metadata of an object that lives in a namespace. Kubernetes has no other
 * fields than these: a strange one is a slip, and a policy whose `namespace`
 * is mistyped would hold in `default`, where nobody needs it.
 */
export const namespacedMeta = z
  .strictObject(
    { name: dnsSubdomain, namespace: dnsLabel.nullish(), ...metaFields },
    { error: 'expected metadata with a name' },
  )
  .transform((meta) => toMeta(meta, meta.namespace ?? 'default'))

/** Metadata of an object that lives in no namespace. */
export const clusterMeta = z
  .strictObject({ name: dnsLabel, ...metaFields }, { error: 'expected metadata with a name' })
  .transform((meta) => toMeta(meta, ''))

/** Metadata of a Node: in no namespace, and named like a machine. */
export const nodeMeta = z
  .strictObject({ name: dnsSubdomain, ...metaFields }, { error: 'expected metadata with a name' })
  .transform((meta) => toMeta(meta, ''))

interface RawMeta {
  name: string
  labels: Record<string, string>
  annotations: Record<string, string>
  creationTimestamp?: string | null | undefined
  deletionTimestamp?: string | null | undefined
  ownerReferences?: ObjectMeta['ownerReferences'] | null | undefined
}

function toMeta(raw: RawMeta, namespace: string): ObjectMeta {
  return {
    name: raw.name,
    namespace,
    labels: raw.labels,
    annotations: raw.annotations,
    creationTimestamp: raw.creationTimestamp ?? '',
    deletionTimestamp: raw.deletionTimestamp ?? undefined,
    ownerReferences: raw.ownerReferences ?? [],
  }
}
