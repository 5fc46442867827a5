import t from 'tap'
import { alignColumns, formatBytes, formatMilliseconds, paletteFor } from './terminal.ts'

t.test('columns are as wide as their widest cell, and lines have no trailing blanks', async (t) => {
  t.same(
    alignColumns([
      ['a', 'bb', ''],
      ['ccc', 'd', 'e'],
    ]),
    ['a    bb', 'ccc  d   e'],
  )
})

t.test('quantities are written for people', async (t) => {
  t.same([0, 845, 1024, 1536, 1024 ** 3].map(formatBytes), ['0 B', '845 B', '1.0 KiB', '1.5 KiB', '1.0 GiB'])
  t.same([0.4, 12.3, 999, 3400].map(formatMilliseconds), ['0 ms', '12 ms', '999 ms', '3.4 s'])
})

t.test('colour only on a terminal whose user did not refuse it', async (t) => {
  const coloured = '\x1b[32mx\x1b[0m'
  t.equal(paletteFor({ isTTY: true, noColor: undefined }).good('x'), coloured)
  t.equal(paletteFor({ isTTY: true, noColor: '' }).good('x'), coloured, 'an empty NO_COLOR says nothing')
  t.equal(paletteFor({ isTTY: true, noColor: '1' }).good('x'), 'x')
  t.equal(paletteFor({ isTTY: false, noColor: undefined }).good('x'), 'x')
})
