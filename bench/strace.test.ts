import t from 'tap'
import { frequent } from './strace.ts'

const RULE = '------ ----------- ----------- --------- --------- ----------------'
const HEAD = `% time     seconds  usecs/call     calls    errors syscall\n${RULE}`
const row = (calls: number, name: string) =>
  `  1.00    0.001000           2 ${String(calls).padStart(9)}           ${name}`
const TOTAL = '100.00    1.000000          59      1000         3 total'

t.test('calls that hardly occur are left out, and nothing else', async (t) => {
  const kept = [HEAD, row(700, 'read'), row(290, 'write'), row(5, 'brk'), RULE, TOTAL]
  const all = [...kept.slice(0, -2), row(4, 'mmap'), row(1, 'madvise'), ...kept.slice(-2)]
  t.equal(frequent(`${all.join('\n')}\n`), kept.join('\n'))
})
