import { execFileSync, spawnSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { LinuxError } from './errors.ts'
import { SeqpacketServer } from './seqpacket-server.ts'
import { SeqpacketSocket } from './seqpacket-socket.ts'

const directory = mkdtempSync(join(tmpdir(), 'seqpacket-'))
let sockets = 0

async function pair(): Promise<{ server: SeqpacketServer; near: SeqpacketSocket; far: SeqpacketSocket }> {
  const server = SeqpacketServer.listen(join(directory, `${sockets++}.sock`))
  const [near, far] = await Promise.all([SeqpacketSocket.connect(server.path), server.accept()])
  if (far === undefined) throw new Error('the server is closed')
  return { server, near, far }
}

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length
}

t.test('keeps packet boundaries and order, both ways', async (t) => {
  const { server, near, far } = await pair()
  near.send(Buffer.from('one'))
  near.send(Buffer.from('two!'))
  t.equal(Buffer.from((await far.receive(100))?.data ?? []).toString(), 'one')
  t.equal(Buffer.from((await far.receive(100))?.data ?? []).toString(), 'two!')
  const waiting = near.receive(100)
  far.send(Buffer.from('back'))
  t.equal(Buffer.from((await waiting)?.data ?? []).toString(), 'back')
  for (const s of [near, far, server]) s.close()
})

t.test('a packet that arrives while a receive is pending is delivered without another event', async (t) => {
  const { server, near, far } = await pair()
  const seen: (number | undefined)[] = []
  for (let i = 0; i < 50; i++) {
    const waiting = far.receive(16)
    near.send(Buffer.from([i]))
    seen.push((await waiting)?.data[0])
  }
  t.same(seen, [...Array(50).keys()])
  for (const s of [near, far, server]) s.close()
})

t.test('hands descriptors over, close-on-exec, as the same open file', async (t) => {
  const { server, near, far } = await pair()
  const file = join(directory, 'file')
  writeFileSync(file, 'content')
  const fd = openSync(file, 'r')
  near.send(Buffer.from('x'), [fd])
  closeSync(fd)
  const packet = await far.receive(10)
  const received = packet?.fds[0] ?? -1
  t.equal(packet?.fds.length, 1)
  t.equal(readlinkSync(`/proc/self/fd/${received}`), file)
  t.match(readFileSync(`/proc/self/fdinfo/${received}`, 'utf8'), /flags:\s*0?2\d{6,}/, 'O_CLOEXEC is set')
  closeSync(received)
  for (const s of [near, far, server]) s.close()
})

t.test('more descriptors than we take are closed by the kernel and told as truncation', async (t) => {
  const { server, near, far } = await pair()
  const before = openDescriptors()
  near.send(
    Buffer.from('x'),
    Array.from({ length: 100 }, () => 0),
  )
  const packet = await far.receive(10)
  t.equal(packet?.truncated, true)
  t.equal(packet?.fds.length, 4)
  for (const fd of packet?.fds ?? []) closeSync(fd)
  t.equal(openDescriptors(), before)
  for (const s of [near, far, server]) s.close()
})

t.test('a packet over the limit is told as truncated', async (t) => {
  const { server, near, far } = await pair()
  near.send(Buffer.alloc(11))
  const packet = await far.receive(10)
  t.equal(packet?.truncated, true)
  t.equal(packet?.data.length, 10)
  for (const s of [near, far, server]) s.close()
})

t.test('the end of the peer ends a pending receive', async (t) => {
  const { server, near, far } = await pair()
  const waiting = far.receive(10)
  near.close()
  t.equal(await waiting, undefined)
  t.throws(() => far.send(Buffer.from('x')), { code: 'system-call', errno: 'EPIPE' })
  for (const s of [far, server]) s.close()
})

t.test('closing ends pending calls and leaks no descriptor', async (t) => {
  const before = openDescriptors()
  const { server, near, far } = await pair()
  const waiting = far.receive(10)
  const accepting = server.accept()
  far.close()
  server.close()
  near.close()
  t.equal(await waiting, undefined)
  t.equal(await accepting, undefined)
  t.equal(await far.receive(10), undefined)
  t.notOk(existsSync(server.path), 'the path is removed')
  t.throws(() => near.send(Buffer.from('x')), LinuxError)
  t.equal(openDescriptors(), before)
})

t.test('a peer that does not read is an error, not a wait', async (t) => {
  const { server, near, far } = await pair()
  t.throws(() => {
    for (let i = 0; i < 10_000; i++) near.send(Buffer.alloc(1024))
  }, /EAGAIN/)
  for (const s of [near, far, server]) s.close()
})

t.test('a second receive is refused while one is pending', async (t) => {
  const { server, near, far } = await pair()
  const waiting = far.receive(10)
  await t.rejects(far.receive(10), { code: 'invalid-argument' })
  for (const s of [near, far, server]) s.close()
  await waiting
})

t.test('a socket left by a dead process is replaced, a live one is not', async (t) => {
  const path = join(directory, 'stale.sock')
  const dead = SeqpacketServer.listen(path)
  await t.rejects(async () => SeqpacketServer.listen(path), /EADDRINUSE/)
  // A process that dies closes its descriptor and leaves the path.
  const inode = statSync(path).ino
  t.teardown(() => dead.close())
  const child = `
    const { SeqpacketServer } = await import(${JSON.stringify(new URL('./seqpacket-server.ts', import.meta.url).href)})
    SeqpacketServer.listen(${JSON.stringify(join(directory, 'left.sock'))})
    process.exit(0)`
  execFileSync(process.execPath, ['--input-type=module', '--eval', child])
  t.ok(existsSync(join(directory, 'left.sock')))
  const again = SeqpacketServer.listen(join(directory, 'left.sock'))
  t.equal(statSync(again.path).mode & 0o777, 0o600)
  again.close()
  t.equal(statSync(path).ino, inode)
})

t.test('a file that is no socket is left alone', async (t) => {
  const path = join(directory, 'file.txt')
  writeFileSync(path, 'precious')
  t.throws(() => SeqpacketServer.listen(path), /EADDRINUSE/)
  t.equal(readFileSync(path, 'utf8'), 'precious')
  t.throws(() => SeqpacketServer.listen('/'.padEnd(200, 'x')), { code: 'invalid-argument' })
  await t.rejects(SeqpacketSocket.connect(join(directory, 'nowhere')), /ENOENT/)
})

t.test('a pending receive keeps the process, an unreferenced one does not', async (t) => {
  const { server, near, far } = await pair()
  const run = (unref: string) =>
    spawnSync(
      process.execPath,
      [
        '--input-type=module',
        '--eval',
        `const { SeqpacketSocket } = await import(${JSON.stringify(new URL('./seqpacket-socket.ts', import.meta.url).href)})
        const socket = await SeqpacketSocket.connect(${JSON.stringify(server.path)})
        ${unref}
        void socket.receive(10)`,
      ],
      { timeout: 1_000 },
    ).signal
  t.equal(run('socket.unref()'), null)
  t.equal(run(''), 'SIGTERM', 'the time limit ended it')
  for (const s of [near, far, server]) s.close()
})
