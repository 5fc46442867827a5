import t from 'tap'
import { AccessJournal } from './access-journal.ts'
import { parseVerdictRecord } from './verdict-record.ts'

const LINE = JSON.stringify({
  level: 'info',
  scope: 'ztunnel::state',
  message: 'dry-run: deny policy match',
  policy: 'shop/deny-reports',
  'src.addr': '10.244.1.11:51786',
})
const VERDICT = {
  proxy: 'ztunnel@node-b',
  message: 'dry-run: deny policy match',
  policy: 'shop/deny-reports',
  source: '10.244.1.11:51786',
}

t.test('a verdict is read', async (t) => {
  t.same(parseVerdictRecord('ztunnel@node-b', LINE), VERDICT)
})

t.test('other lines are not', async (t) => {
  t.equal(parseVerdictRecord('p', LINE.replace('ztunnel::state', 'access')), undefined)
  t.equal(parseVerdictRecord('p', LINE.replace('src.addr', 'src')), undefined)
  t.equal(parseVerdictRecord('p', 'Listening'), undefined)
})

t.test('the journal tells those of one connection from others and from earlier ones', async (t) => {
  const journal = new AccessJournal()
  journal.read('ztunnel@node-b', LINE)
  const position = journal.verdicts
  journal.read('ztunnel@node-b', LINE)
  journal.read('ztunnel@node-b', LINE.replace('51786', '51787'))
  journal.read('ztunnel@node-a', LINE)
  const connection = { proxy: 'ztunnel@node-b', source: '10.244.1.11:51786' }
  t.same(journal.verdictsOf(connection, position), [VERDICT], 'not the one before on the same tunnel')
  t.equal(journal.verdictsOf(connection, 0).length, 2)
  t.equal(journal.length, 0, 'they are no ends of connections')
})
