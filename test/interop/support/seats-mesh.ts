import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LabOptions } from '../../../src/lab/mesh-lab.ts'

/** Hostname of the service that is behind the east-west gateway. */
export const FAR_HOST = 'far.app.svc.cluster.local'

const SERVER = 'spiffe://cluster.local/ns/app/sa/server'

/**
 * Beside the folder of YAML, which has no networks but its own: the server's pod
 * once more as istiod shows it to another network, one endpoint behind a gateway.
 */
const FAR = `
workloads:
  - uid: far/SplitHorizonWorkload/envoy/eastwest
    name: eastwest
    namespace: app
    workloadIps: []
    network: far
    protocol: HBONE
    networkGateway: { destination: /10.244.3.12, hboneMtlsPort: 15008 }
    services:
      app/${FAR_HOST}: { 9000: 9000, 9003: 9003 }
      app/stranger.app.svc.cluster.local: { 9000: 9000 }
      app/unknown.app.svc.cluster.local: { 9000: 9000 }
services:
  - { name: far, namespace: app, hostname: ${FAR_HOST}, vips: [/10.96.0.50],
      ports: { 9000: 9000, 9003: 9003 }, subjectAltNames: ['${SERVER}'] }
  - { name: stranger, namespace: app, hostname: stranger.app.svc.cluster.local, vips: [/10.96.0.51],
      ports: { 9000: 9000 }, subjectAltNames: ['spiffe://cluster.local/ns/app/sa/stranger'] }
  - { name: unknown, namespace: app, hostname: unknown.app.svc.cluster.local, vips: [/10.96.0.52],
      ports: { 9000: 9000 }, subjectAltNames: ['${SERVER}'] }
`

/** The mesh with a seat for every kind of Envoy, and the service behind the east-west gateway; all in IPv6 if asked. */
export function seatsMesh(family: 4 | 6 = 4): LabOptions {
  const manifests = mkdtempSync(join(tmpdir(), 'mesh-seats-'))
  const mesh = readFileSync(new URL('./mesh-seats/mesh.yaml', import.meta.url), 'utf8')
  const far = join(mkdtempSync(join(tmpdir(), 'mesh-far-')), 'far.yaml')
  writeFileSync(join(manifests, 'mesh.yaml'), inFamily(mesh, family))
  writeFileSync(far, inFamily(FAR, family))
  return { manifests, proxyEnv: { LOCAL_XDS_PATH: far } }
}

/** Every address of the mesh in a text, as the other family has it. */
export function inFamily(text: string, family: 4 | 6): string {
  if (family === 4) return text
  return text
    .replace(/10\.244\.(\d+)\.(\d+)/g, 'fd00:10:244:$1::$2')
    .replace(/10\.96\.0\.(\d+)/g, 'fd00:10:96::$1')
    .replace(/203\.0\.113\.10/g, '2001:db8::10')
}
