import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import t from 'tap'
import { AuthorizationSchema, type MatchSchema } from '../gen/istio/security/authorization_pb.ts'
import { authorize, type PolicyContext } from '../mesh/index.ts'
import { decodeAuthorization } from './decode.ts'

// What becomes of a match on its way from the wire to a verdict, where the two
// do not say the same: wire/ztunnel 8.5, 8.7 and 8.8.

const CONTEXT: PolicyContext = {
  sourceIdentity: { trustDomain: 'td', namespace: 'from', serviceAccount: 'acct' },
  sourceAddress: '10.0.0.1',
  destinationAddress: '10.0.0.2',
  destinationPort: 80,
}
const bytes = (...values: number[]): Uint8Array<ArrayBuffer> => Uint8Array.from(values)
const MAPPED = bytes(...Array(10).fill(0), 255, 255, 10, 0, 0, 1)
const PORT = { destinationPorts: [80] }
const UNSET = { matchType: { case: undefined } }
const EMPTY_PREFIX = { matchType: { case: 'prefix', value: '' } } as const

type Match = MessageInitShape<typeof MatchSchema>

const ROWS: readonly (readonly [item: string, why: string, match: Match, matched: boolean])[] = [
  ['8.5', 'a port is its lower 16 bits', { destinationPorts: [65_536 + 80] }, true],
  ['8.7', 'a matcher that is unset is dropped: the match may be left empty', { principals: [UNSET] }, false],
  ['8.7', 'or wider', { principals: [UNSET], ...PORT }, true],
  ['8.7', 'in a negative list likewise', { notPrincipals: [UNSET] }, false],
  ['8.7', 'an empty prefix is a prefix', { principals: [EMPTY_PREFIX] }, true],
  ['8.8', 'a block', { sourceIps: [{ address: bytes(10, 0, 0, 0), length: 8 }] }, true],
  ['8.8', 'host bits are tolerated', { sourceIps: [{ address: bytes(10, 9, 9, 9), length: 8 }] }, true],
  ['8.8', 'length 0 is all of the family', { sourceIps: [{ address: bytes(9, 9, 9, 9), length: 0 }] }, true],
  ['8.8', 'three bytes are no address', { sourceIps: [{ address: bytes(10, 0, 0), length: 8 }] }, false],
  ['8.8', 'nor are none', { sourceIps: [{ address: bytes(), length: 0 }] }, false],
  ['8.8', 'a length beyond the address', { sourceIps: [{ address: bytes(10, 0, 0, 0), length: 33 }] }, false],
  ['8.8', 'and what is left is wider', { sourceIps: [{ address: bytes(1), length: 8 }], ...PORT }, true],
  ['8.8', 'a mapped block is IPv6', { sourceIps: [{ address: MAPPED, length: 128 }] }, false],
  ['8.8', 'whatever its length', { sourceIps: [{ address: MAPPED, length: 96 }] }, false],
  ['8.8', 'and rules nothing out', { notSourceIps: [{ address: MAPPED, length: 128 }] }, true],
]

t.test('from the wire to the verdict', async (t) => {
  for (const [item, why, match, matched] of ROWS) {
    const message = create(AuthorizationSchema, { name: 'p', rules: [{ clauses: [{ matches: [match] }] }] })
    const policy = decodeAuthorization(toBinary(AuthorizationSchema, message))
    t.equal(authorize([policy], CONTEXT).allowed, matched, `${item} ${why}`)
  }
})
