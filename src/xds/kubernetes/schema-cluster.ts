import { parse } from 'yaml'
import { z } from 'zod'
import type { ConfigMap, MeshConfig, Node } from './objects-cluster.ts'
import { dnsLabel, namespacedMeta, nodeMeta } from './schema-common.ts'
import { nearest } from './unknown-fields.ts'

/** `v1` Node. */
export const nodeSchema = z
  .object({ metadata: nodeMeta })
  .transform(({ metadata }): Node => ({ kind: 'Node', metadata }))

const trustDomain = z.string({ error: 'expected a trust domain' }).regex(/^[a-z0-9._-]{1,255}$/, {
  error: 'expected a trust domain: lower-case letters, digits, ".", "-", "_"',
})

const READ = ['trustDomain', 'trustDomainAliases', 'rootNamespace']

// MeshConfig has a hundred fields, nearly all for Envoys: those that are not read are no mistake, unless they nearly are.
const meshConfig = z
  .looseObject(
    {
      trustDomain: trustDomain.nullish(),
      trustDomainAliases: z.array(trustDomain).nullish(),
      rootNamespace: dnsLabel.nullish(),
    },
    { error: 'expected a MeshConfig' },
  )
  .transform(
    (mesh): MeshConfig => ({
      trustDomain: mesh.trustDomain ?? undefined,
      trustDomainAliases: mesh.trustDomainAliases ?? [],
      rootNamespace: mesh.rootNamespace ?? undefined,
      mistyped: Object.keys(mesh).flatMap((field) => {
        const meant = READ.includes(field) ? undefined : nearest(field, READ)
        return meant === undefined ? [] : [{ field, meant }]
      }),
    }),
  )

/** `v1` ConfigMap: of any but `istio`, only the name. */
export const configMapSchema = z
  .object({ metadata: namespacedMeta, data: z.record(z.string(), z.string()).nullish() })
  .transform(({ metadata, data }, context): ConfigMap => {
    const text = metadata.name === MESH_CONFIG_NAME ? data?.['mesh'] : undefined
    if (text === undefined) return { kind: 'ConfigMap', metadata, meshConfig: undefined }
    const read = meshConfig.safeParse(parseOrMessage(text) ?? {})
    if (read.success) return { kind: 'ConfigMap', metadata, meshConfig: read.data }
    for (const { path, message } of read.error.issues) {
      const field = path.length === 0 ? '' : `${path.join('.')}: `
      const text = `${field}${message.replace(/^Invalid input: /, '')}`
      context.addIssue({ code: 'custom', path: ['data', 'mesh'], message: text })
    }
    return z.NEVER
  })

/** Name of the ConfigMap that istiod reads its MeshConfig from, in its own namespace. */
export const MESH_CONFIG_NAME = 'istio'

/** What is no YAML stays text, which the schema refuses. */
function parseOrMessage(text: string): unknown {
  try {
    return parse(text)
  } catch {
    return text
  }
}
