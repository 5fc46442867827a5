import { answered, refused, verdictOf } from './evidence.ts'
import type { Call, Finding, LabCheck } from './model.ts'

export interface AllowAndDenyEvidence {
  readonly sleep: Call
  readonly guest: Call
  readonly outsider: Call
  readonly guestAtHttpbin: Call
}

const HELLOWORLD = 'http://helloworld:5000/hello'
/** As the policy of the lab names itself. */
const DENY = 'demo/helloworld-no-guests'

/** 03: one policy allows, another denies, and DENY has the first word. */
export const allowAndDeny: LabCheck<AllowAndDenyEvidence> = {
  lab: '03-allow-and-deny',
  async gather(mesh) {
    return {
      sleep: await mesh.call('sleep', HELLOWORLD),
      guest: await mesh.call('guest', HELLOWORLD),
      outsider: await mesh.call('outsider', 'http://helloworld-v1:5000/hello'),
      guestAtHttpbin: await mesh.call('guest', 'http://httpbin:8000/hello'),
    }
  },
  judge: ({ sleep, guest, outsider, guestAtHttpbin }) => [
    answered(
      sleep,
      'the ALLOW policy is for the namespace demo, in which sleep is: docker compose logs config-server tells what it made of the YAML',
    ),
    refused(
      guest,
      'is labs/03-allow-and-deny/istio/helloworld.yaml in compose/policies? docker compose logs config-server',
    ),
    decidedBy(guest, DENY),
    refused(
      outsider,
      'with an ALLOW policy in force, whoever proves no identity matches none of its rules: is it in compose/policies?',
    ),
    refused(guestAtHttpbin, 'httpbin has an ALLOW policy from the start: compose/policies/httpbin.yaml'),
  ],
}

/** A DENY policy is named in the reason; that no ALLOW policy matched is another reason. */
function decidedBy(call: Call, policy: string): Finding {
  const error = verdictOf(call)?.fields['error'] ?? ''
  return {
    what: `it is ${policy} that refuses ${call.from}`,
    right: error.includes('explicitly denied') && error.includes(policy),
    seen: error === '' ? 'no refusal in the access log' : error,
    hint: 'guest is in the namespace that the ALLOW policy is for; only a DENY policy keeps it out: docker compose logs proxy-a proxy-b',
  }
}
