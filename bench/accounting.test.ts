import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { busySecondsIn, cpuSecondsIn, passiveOpens, resetPeak, statusBytes, usageOf } from './accounting.ts'

t.test('CPU time is found behind a name with brackets and spaces', async (t) => {
  const stat = '42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 30 20 20 0 11 0 12345 67890 100'
  t.equal(cpuSecondsIn(stat), 2)
  t.equal(cpuSecondsIn(stat, true), 2.5, 'with ended children')
})

t.test('lines of status', async (t) => {
  const status = 'Name:\tnode\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n'
  t.equal(statusBytes(status, 'VmRSS'), 1024 * 1024)
  t.equal(statusBytes(status, 'VmHWM'), 2048 * 1024)
  t.equal(statusBytes(status, 'RssAnon'), 0)
})

t.test('the machine is busy with all but idling and waiting for a disk', async (t) => {
  const stat = 'cpu  100 200 300 99999 88888 10 20 30 5 5\ncpu0 1 1 1 1 1 1 1 1 0 0\n'
  t.equal(busySecondsIn(stat), 6.6)
})

t.test('accepted connections by the name of their column', async (t) => {
  const snmp =
    'Ip: Forwarding\nIp: 1\nTcp: RtoMin ActiveOpens PassiveOpens\nTcp: 200 7 9\nUdp: InDatagrams\nUdp: 3\n'
  t.equal(passiveOpens(snmp), 9)
})

t.test('a process is charged with what its child does', async (t) => {
  const work =
    'const b = Buffer.alloc(64e6, 1); const end = Date.now() + 300; while (Date.now() < end); process.stdout.write("x"); setInterval(() => b, 1e6)'
  const shell = spawn('sh', ['-c', '"$0" -e "$1"; exit', process.execPath, work], { detached: true })
  t.teardown(() => process.kill(-(shell.pid ?? 0), 'SIGKILL'))
  await once(shell.stdout, 'data')
  const pid = shell.pid ?? 0
  const { cpuSeconds, residentBytes, anonymousBytes } = usageOf(pid)
  t.ok(cpuSeconds > 0.02, `${cpuSeconds} s`)
  t.ok(anonymousBytes > 64e6, `${anonymousBytes} bytes, the child's buffer among them`)
  t.ok(residentBytes > anonymousBytes)
})

t.test('the peak is that since it was reset', async (t) => {
  const memory = new ArrayBuffer(200e6)
  new Uint8Array(memory).fill(1)
  const peak = usageOf(process.pid).peakBytes
  // Gives it back at once, not when the garbage is collected.
  memory.transfer(0)
  t.ok(usageOf(process.pid).peakBytes > peak - 20e6, 'it stays what it was, but for the kernel’s rounding')
  resetPeak(process.pid)
  t.ok(usageOf(process.pid).peakBytes < peak - 100e6)
})
