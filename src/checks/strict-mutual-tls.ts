import { answered, isTunnel, refused, said, verdictOf } from './evidence.ts'
import type { Call, Finding, LabCheck } from './model.ts'

export interface StrictEvidence {
  readonly toAmbient: Call
  readonly toSidecar: Call
  readonly plainToAmbient: Call
  readonly plainToSidecar: Call
}

const AMBIENT = 'http://helloworld-v2:5000/hello'
const SIDECAR = 'http://neighbour:8000/hello'
const HINT =
  'is labs/04-strict-mutual-tls/istio/strict.yaml in compose/policies? docker compose logs config-server'

/** 04: nothing comes in without mutual TLS, whether a node proxy or a sidecar stands before the application. */
export const strictMutualTls: LabCheck<StrictEvidence> = {
  lab: '04-strict-mutual-tls',
  async gather(mesh) {
    return {
      toAmbient: await mesh.call('sleep', AMBIENT),
      toSidecar: await mesh.call('sleep', SIDECAR),
      plainToAmbient: await mesh.call('outsider', AMBIENT),
      plainToSidecar: await mesh.call('outsider', SIDECAR),
    }
  },
  judge: ({ toAmbient, toSidecar, plainToAmbient, plainToSidecar }) => [
    answered(toAmbient, 'docker compose logs proxy-b'),
    answered(
      toSidecar,
      'is the sidecar ready? docker compose ps neighbour-sidecar; docker compose logs neighbour-sidecar',
    ),
    bySidecar(toSidecar),
    refused(plainToAmbient, HINT),
    refused(plainToSidecar, `${HINT}; the sidecar's own word: docker compose logs neighbour-sidecar`),
  ],
}

function bySidecar(call: Call): Finding {
  const line = verdictOf(call)
  return {
    what: 'the sidecar of neighbour ended the tunnel itself',
    right: line?.proxy === 'neighbour-sidecar' && isTunnel(line),
    seen: said(call),
    hint: 'neighbour has the label networking.istio.io/tunnel: http, by which proxies know that it takes tunnels: docker compose logs proxy-a',
  }
}
