import { said } from './evidence.ts'
import type { Call, ContainerState, LabCheck } from './model.ts'

export interface NodeDiesEvidence {
  readonly containers: readonly ContainerState[]
  readonly helloworld: readonly Call[]
  readonly httpbin: Call
}

/** Enough that two versions would both have answered. */
const CALLS = 12
const GONE = ['proxy-b', 'agent-b', 'helloworld-v2', 'httpbin']

/** 06: all of node-b is gone, and those on node-a go on with each other. */
export const nodeDies: LabCheck<NodeDiesEvidence> = {
  lab: '06-a-node-dies',
  async gather(mesh) {
    return {
      containers: await mesh.containers(),
      helloworld: await mesh.calls('sleep', 'http://helloworld:5000/hello', CALLS),
      httpbin: await mesh.call('sleep', 'http://httpbin:8000/hello'),
    }
  },
  judge: ({ containers, helloworld, httpbin }) => {
    const alive = GONE.filter((name) =>
      containers.some(({ service, state }) => service === name && state === 'running'),
    )
    const failed = helloworld.find(({ status }) => status !== 200)
    const strays = helloworld.find(({ body }) => body.includes('"app":"helloworld-v2"'))
    return [
      {
        what: 'node-b is dead: its proxy, its agent and its applications',
        right: alive.length === 0,
        seen: `running: ${alive.join(', ')}`,
        hint: `docker compose kill ${GONE.join(' ')}`,
      },
      {
        what: `${CALLS} calls of helloworld are all answered`,
        right: helloworld.length === CALLS && failed === undefined,
        seen: failed === undefined ? `${helloworld.length} calls` : said(failed),
        hint: 'whom does proxy-a still take for alive? docker compose logs config-server proxy-a; a proxy that is dead is not known as such, a container is',
      },
      {
        what: 'each by v1, the one on node-a',
        right: helloworld.length > 0 && strays === undefined,
        seen: strays === undefined ? 'no calls' : said(strays),
        hint: 'docker compose kill helloworld-v2',
      },
      {
        what: 'httpbin, which is nowhere else, is not answered',
        right: httpbin.status === 0,
        seen: said(httpbin),
        hint: 'docker compose kill httpbin',
      },
    ]
  },
}
