import { said } from './evidence.ts'
import type { AccessLine, Call, Finding, LabCheck } from './model.ts'

export interface WaypointEvidence {
  readonly hello: Call
  readonly admin: Call
  readonly preview: readonly Call[]
}

const SERVICE = 'http://helloworld:5000'
/** Enough that a route to both versions would show. */
const PREVIEW_CALLS = 6

/** 08: requests of helloworld go through the waypoint, which judges and routes each of them. */
export const waypoint: LabCheck<WaypointEvidence> = {
  lab: '08-waypoint',
  async gather(mesh) {
    return {
      hello: await mesh.call('sleep', `${SERVICE}/hello`),
      admin: await mesh.call('sleep', `${SERVICE}/admin`),
      preview: await mesh.calls('sleep', `${SERVICE}/v2/hello`, PREVIEW_CALLS),
    }
  },
  judge: ({ hello, admin, preview }) => {
    const stray = preview.find(
      ({ status, body }) => status !== 200 || !body.includes('"app":"helloworld-v2"'),
    )
    return [
      {
        what: "sleep's request went through the waypoint",
        right: hello.status === 200 && requestOf(hello) !== undefined,
        seen: said(hello),
        hint: 'docker compose --profile waypoint up -d waypoint; then docker compose logs waypoint config-server',
      },
      deniedByWaypoint(admin),
      {
        what: 'what begins with /v2 is answered by v2 alone',
        right: preview.length > 0 && stray === undefined,
        seen: stray === undefined ? 'no calls' : `HTTP ${stray.status}: ${stray.body.slice(0, 100).trim()}`,
        hint: 'is labs/08-waypoint/istio/preview.yaml in compose/policies? docker compose logs config-server',
      },
    ]
  },
}

function deniedByWaypoint(call: Call): Finding {
  return {
    what: 'a request for /admin is denied with 403, by policy demo/helloworld',
    right: call.status === 403 && requestOf(call)?.fields['policy'] === 'demo/helloworld',
    seen: said(call),
    hint: 'the policy is in compose/policies/helloworld.yaml: docker compose logs waypoint',
  }
}

function requestOf({ lines }: Call): AccessLine | undefined {
  return lines.find(({ proxy, message }) => proxy === 'waypoint' && message === 'request')
}
