import t from 'tap'
import { type NodeDiesEvidence, nodeDies } from './node-dies.ts'
import { call, failed, line, wrong } from './test-support.ts'

const dead = ['proxy-b', 'agent-b', 'helloworld-v2', 'httpbin']
const v1 = call({ body: '{"app":"helloworld-v1"}' })
const right: NodeDiesEvidence = {
  containers: [
    { service: 'proxy-a', state: 'running' },
    ...dead.map((service) => ({ service, state: 'exited' })),
  ],
  helloworld: Array.from({ length: 12 }, () => v1),
  httpbin: failed('sleep', line('proxy-a', 'gone')),
}
const wrongWith = (evidence: Partial<NodeDiesEvidence>) => wrong(nodeDies.judge({ ...right, ...evidence }))

t.test('right: v1 answers, httpbin does not', (t) => {
  t.strictSame(wrongWith({}), [])
  t.end()
})

t.test('wrong: the node lives, v2 answers, a call is lost, or none was made', (t) => {
  const containers = dead.map((service) => ({ service, state: 'running' }))
  t.match(wrongWith({ containers }), [/^node-b is dead/])
  const v2 = call({ body: '{"app":"helloworld-v2"}' })
  t.match(wrongWith({ helloworld: [...right.helloworld.slice(1), v2] }), [/^each by v1/])
  const lost = failed('sleep', line('proxy-a', 'gone'))
  t.match(wrongWith({ helloworld: [...right.helloworld.slice(1), lost] }), [/are all answered/])
  t.equal(wrongWith({ helloworld: [] }).length, 2)
  t.match(wrongWith({ httpbin: call() }), [/^httpbin/])
  t.end()
})
