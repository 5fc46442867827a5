import { type Check, expect, type Finding, type Need } from '../check.ts'
import type { CheckContext } from '../context.ts'
import { dataFrame, errorName } from '../frames.ts'
import type { Fields } from '../hpack.ts'
import { answer, connectFields, describeAnswer, isRefusal, request } from '../tunnel.ts'

interface Refusal {
  readonly name: string
  readonly status: 400 | 401 | 503
  readonly when: string
  readonly standsOn: string
  readonly explanation: string
  readonly needs?: readonly Need[]
  fields(context: CheckContext): Fields
}

const ROWS: readonly Refusal[] = [
  {
    name: 'method',
    status: 400,
    when: 'for another method than CONNECT',
    standsOn: 'ztunnel, src/proxy/inbound.rs: step 1',
    explanation: 'The request is wrong, and no other try will help.',
    fields: ({ target }) => [
      [':method', 'GET'],
      [':scheme', 'https'],
      [':path', '/'],
      [':authority', `${target.host}:80`],
    ],
  },
  {
    name: 'authority',
    status: 400,
    when: 'for an :authority without a port',
    standsOn: 'ztunnel, src/proxy/inbound.rs: step 2',
    explanation: 'As for the method.',
    fields: ({ target }) => connectFields(target.host),
  },
  {
    name: 'other-address',
    status: 400,
    when: 'for the address of someone else',
    standsOn: 'ztunnel, src/proxy/inbound.rs: step 4, `ip mismatch`',
    explanation: 'The proxy of one pod is no way to another one, past the policy of that.',
    fields: () => connectFields('192.0.2.1:80'),
  },
  {
    name: 'own-port',
    status: 503,
    when: "for the target's own port",
    standsOn: 'ztunnel, src/proxy/inbound.rs: step 5, `attempted recursive call to ourselves`',
    explanation: 'A tunnel into the tunnel port would go round until something runs out.',
    fields: ({ target }) => connectFields(`${bracketed(target.host)}:${target.port}`),
  },
  {
    name: 'unknown-hostname',
    status: 503,
    when: 'for a hostname that no service of the pod has',
    standsOn: 'ztunnel, src/proxy/inbound.rs: step 5, `NoHostname`',
    explanation:
      'Hostnames are for services that the target itself belongs to; any other would make it an open relay.',
    fields: () => connectFields('conformance.invalid:80'),
  },
  {
    name: 'denied',
    status: 401,
    when: 'when policy denies',
    standsOn: 'ztunnel, src/proxy/inbound.rs: step 6 (not 403)',
    explanation: 'Peers show this status to their operators: 401 is where one looks for a policy.',
    needs: ['denied'],
    fields: ({ target }) => connectFields(target.deniedAuthority ?? ''),
  },
  {
    name: 'dead',
    status: 503,
    when: 'when the application is not there',
    standsOn: 'ztunnel, src/proxy/inbound.rs: step 7; Envoy: `UF`',
    explanation: 'The client may try another endpoint. A 200 first would be taken for a connection.',
    needs: ['dead'],
    fields: ({ target }) => connectFields(target.deadAuthority ?? ''),
  },
]

/** Which status says no: wire facts of ztunnel's 15008, and that no is said at all. */
export const statusChecks: readonly Check[] = [
  ...ROWS.flatMap((row) => [refuses(row), exactly(row)]),
  {
    name: 'status/no-body',
    title: 'a refusal is HEADERS with END_STREAM, and then RST_STREAM(NO_ERROR)',
    level: 'ours',
    standsOn: 'ztunnel; RFC 9113 section 8.1',
    explanation:
      'The answer is complete; the reset tells the client that the rest of its request is not wanted, without calling it an error.',
    run: async (context) => {
      const connection = await context.connected()
      const stream = request(connection, connectFields('192.0.2.1:80'))
      const found = await answer(connection, stream)
      if (!isRefusal(found)) return expect(false, describeAnswer(connection, found))
      await connection.wait(() => stream.reset !== undefined, RESET_WAIT_MS)
      const reset = stream.reset === undefined ? 'no reset' : `RST_STREAM(${errorName(stream.reset)})`
      return expect(
        stream.headersOnly && stream.receivedBytes === 0 && stream.reset === 0,
        `status ${stream.status}, ${stream.headersOnly ? 'END_STREAM' : `${stream.receivedBytes} bytes`}, ${reset}`,
      )
    },
  },
]

/** Any refusal will do: a status, a reset, or a 200 with an end and not a byte before it. */
function refuses({ name, when, standsOn, explanation, needs = [], fields }: Refusal): Check {
  return {
    name: `refusal/${name}`,
    title: `carries nothing ${when}`,
    level: 'must',
    standsOn,
    explanation,
    needs,
    run: async (context) => {
      const connection = await context.connected()
      const stream = request(connection, fields(context))
      const found = await answer(connection, stream)
      if (isRefusal(found)) return expect(true, describeAnswer(connection, found))
      // Envoy answers before it knows; what counts is what comes through.
      connection.write(dataFrame(stream.id, Buffer.from('anybody there?')))
      await connection.wait(() => stream.ended || stream.reset !== undefined || stream.receivedBytes > 0)
      const isOver = stream.ended || stream.reset !== undefined || connection.ended !== undefined
      const how = isOver ? 'the end' : 'an open tunnel'
      return expect(
        isOver && stream.receivedBytes === 0,
        `${describeAnswer(connection, found)}, then ${stream.receivedBytes} bytes and ${how}`,
      )
    },
  }
}

function exactly({ name, status, when, standsOn, explanation, needs = [], fields }: Refusal): Check {
  return {
    name: `status/${name}`,
    title: `answers ${status} ${when}`,
    level: 'should',
    standsOn,
    explanation,
    needs,
    run: async (context): Promise<Finding> => {
      const connection = await context.connected()
      const found = await answer(connection, request(connection, fields(context)))
      return expect(found.kind === 'status' && found.status === status, describeAnswer(connection, found))
    },
  }
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}

/** It comes with the answer or not at all, milliseconds. */
const RESET_WAIT_MS = 10_000
