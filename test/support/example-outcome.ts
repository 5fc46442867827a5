import type { Test } from 'tap'
import type { ExampleOutcome } from '../../src/lab/run-examples.ts'

/** Holds each connection of an example to what its file says. */
export function assertOutcome(t: Test, { example, observations }: ExampleOutcome): void {
  t.equal(observations.length, example.connections.length, `${example.name}: ${example.title}`)
  for (const [index, { verdict, policy, problems, records }] of observations.entries()) {
    const expected = example.connections[index]
    const { from, to, port, why } = expected ?? {}
    const said = `${example.name}: ${from} → ${to} ${port}: ${verdict} by ${policy ?? 'no policy'}: ${why}`
    t.same(problems, [], said, { records })
    t.match({ verdict, policy }, { verdict: expected?.verdict, policy: expected?.policy })
  }
}
