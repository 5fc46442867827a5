import fc from 'fast-check'
import t from 'tap'
import { type ParsedFile, parseFile } from './parse.ts'
import { podYaml, policyYaml } from './test-support.ts'
import { yamlChunks } from './yaml-chunks.ts'

t.test('a stream is cut where documents begin, and only there', async (t) => {
  const cut = (text: string) => yamlChunks(text).map(({ text, linesBefore }) => `${linesBefore} ${text}`)
  t.strictSame(cut('a: 1\n---\nb: 2\n--- # c\nc: 3\n'), ['0 a: 1\n', '1 ---\nb: 2\n', '3 --- # c\nc: 3\n'])
  t.strictSame(cut('a: |\n  ---\n  x\nb: "---"\n---b: c\n'), ['0 a: |\n  ---\n  x\nb: "---"\n---b: c\n'])
  t.strictSame(cut('a: 1\r\n---\r\nb: 2'), ['0 a: 1\r\n', '1 ---\r\nb: 2'])
  for (const whole of ['%YAML 1.2\n---\na: 1\n---\nb: 2\n', 'a: 1\n...\n---\nb: 2\n', ''])
    t.strictSame(cut(whole), [`0 ${whole}`])
})

const DOCUMENTS = [
  podYaml('a'),
  podYaml('b'),
  podYaml('bad').replace('10.0.0.1', 'nonsense'),
  policyYaml('{rules: [{from: [{source: {namespaces: [x]}}]}]}'),
  '---\nkind: [\n',
  '---\n',
  '---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a}\n',
  '---\n# only a comment\n',
  '---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n',
]

t.test('what is read from documents that were there before is what is read afresh', async (t) => {
  const files = fc.array(fc.array(fc.constantFrom(...DOCUMENTS), { maxLength: 6 }), {
    minLength: 2,
    maxLength: 4,
  })
  fc.assert(
    fc.property(files, (states) => {
      let before: ParsedFile | undefined
      for (const documents of states) {
        before = parseFile('a.yaml', documents.join(''), before)
        t.strictSame(before, parseFile('a.yaml', documents.join('')))
      }
    }),
  )
})

t.test('a document that did not change gives the same object, where it stands now', async (t) => {
  const before = parseFile('a.yaml', podYaml('a') + podYaml('b'))
  const after = parseFile('a.yaml', `${podYaml('new')}# more\n${podYaml('b')}`, before)
  t.equal(after.objects[1]?.object, before.objects[1]?.object)
  t.match(after.objects, [{ line: 2 }, { line: 9 }])
})
