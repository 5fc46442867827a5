// The whole node proxy and a CNI agent that behaves as Istio's: deadlines,
// packet sizes, restarts. Pods are network namespaces; whether one is served
// shows on its port 15008.
import '../support/own-namespaces.ts'
import { spawn } from 'node:child_process'
import { mkdtempSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ztunnelProgram } from '../../src/lab/app.ts'
import { httpGetIn } from '../../src/lab/http-probe.ts'
import { NetworkNamespace } from '../../src/linux/index.ts'
import { addNamespace } from '../../src/linux/test-support.ts'
import { createSocketFactory } from '../../src/ztunnel/proxy/socket-factory.ts'
import { addPacket, IstioCni, ZDS_PACKET } from '../support/istio-cni.ts'
import { until } from '../support/until.ts'

const HBONE_PORT = 15008

t.test("a node proxy under Istio's CNI agent", async (t) => {
  // A socket's path may have 107 bytes; the test's own folder has a longer one.
  const path = join(mkdtempSync(join(tmpdir(), 'peer-cni-')), 'ztunnel.sock')
  let cni = new IstioCni(path)
  t.teardown(() => cni.close())
  const proxy = startProxy(t, path)
  const [a, b, c, d] = [addNamespace('a'), addNamespace('b'), addNamespace('c'), addNamespace('d')]

  await t.test('the snapshot: one answer each, ready only after it', async (t) => {
    t.equal(await cni.accept(), '0801', 'ZdsHello with version 1')
    t.equal(await cni.add('a', a), '')
    t.equal(await cni.add('b', b), '')
    t.equal(await cni.keep('nobody'), '', 'a pod that only the agent remembers')
    t.not((await proxy.ready()).status, 200)
    t.equal(await cni.snapshotSent(), '')
    await until(async () => (await proxy.ready()).status === 200, 'readiness')
    t.strictSame([await served(a), await served(b), await served(c)], [true, true, false])
    t.ok(cni.quiet)
  })

  await t.test('changes, some of them twice or of what is not there', async (t) => {
    t.equal(await cni.add('c', c), '')
    t.equal(await cni.add('c', c), '')
    t.ok(await served(c))
    t.equal(await cni.del('nobody'), '')
    t.equal(await cni.del('b'), '')
    t.equal(await cni.del('b'), '')
    await until(async () => !(await served(b)), 'the end of b')
    t.equal(await cni.add('b', b), '', 'it may come back')
    t.ok(await served(b))
  })

  await t.test('descriptors are not kept', async (t) => {
    const before = proxy.descriptors()
    for (let i = 0; i < 50; i++) t.equal(await cni.add('a', a), '')
    for (let i = 0; i < 10; i++) {
      t.equal(await cni.add('d', d), '')
      t.equal(await cni.del('d'), '')
    }
    await until(() => proxy.descriptors() <= before, 'all descriptors to be closed')
  })

  await t.test('packets up to 1024 bytes', async (t) => {
    const largest = addPacket('long', ZDS_PACKET)
    t.equal(largest.length, ZDS_PACKET)
    t.equal(await cni.ask(largest, [d.fd]), '')
    t.ok(await served(d))
    t.equal(await cni.del('long'), '')
    await until(async () => !(await served(d)), 'the end of d')
  })

  await t.test('what is no network namespace fails alone, with a text that the agent can read', async (t) => {
    t.match(await cni.add('null', { fd: openSync('/dev/null', 'r') }), /^failure to start proxy : /)
    t.equal(await cni.add('d', d), '')
    t.equal(await cni.del('d'), '')
    t.equal(await cni.del('null'), '')
    t.ok(cni.quiet, 'and nothing is said unasked')
  })

  await t.test(
    'an agent that missed an answer and went on: each request has its own, in order',
    async (t) => {
      cni.send(addPacket('d'), [d.fd])
      cni.send(addPacket('c'), [c.fd])
      t.strictSame([await cni.answer(), await cni.answer()], ['', ''])
      t.ok(await served(d))
    },
  )

  await t.test('an agent that is killed in the middle of a snapshot takes nothing away', async (t) => {
    cni.hangUp()
    t.equal(await cni.accept(), '0801', 'the proxy connects anew')
    t.equal(await cni.add('a', a), '')
    cni.send(addPacket('b'), [b.fd])
    cni.hangUp()
    t.equal(await cni.accept(), '0801')
    t.strictSame([await served(a), await served(b), await served(c), await served(d)], Array(4).fill(true))
  })

  await t.test('an agent that comes back with another set', async (t) => {
    cni.close()
    await until(async () => (await proxy.ready()).status !== 200, 'to be unready without an agent')
    t.strictSame([await served(a), await served(b), await served(c)], [true, true, true])
    cni = new IstioCni(path)
    t.equal(await cni.accept(), '0801')
    t.equal(await cni.del('a'), '', 'a removal before the snapshot')
    t.ok(await served(a), 'decides nothing yet')
    t.equal(await cni.add('a', c), '', "a's name in another namespace: it has moved")
    t.equal(await cni.keep('b'), '')
    t.equal(await cni.keep('b'), '')
    t.equal(await cni.snapshotSent(), '')
    await until(async () => (await proxy.ready()).status === 200, 'readiness')
    await until(async () => !(await served(a)) && !(await served(d)), 'the others to end')
    t.strictSame([await served(b), await served(c)], [true, true])
    t.ok(cni.quiet)
  })

  await t.test('a packet of more than 1024 bytes costs the connection and no pod', async (t) => {
    t.match(await cni.ask(addPacket('longer', ZDS_PACKET + 1), [d.fd]), /^failure to read message : /)
    t.equal(await cni.accept(), '0801')
    t.strictSame([await served(b), await served(c), await served(d)], [true, true, false])
  })
  t.ok(proxy.running())
})

function startProxy(t: Test, path: string) {
  const child = spawn(process.execPath, [ztunnelProgram(), 'proxy'], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...process.env,
      XDS_ADDRESS: '',
      CA_ADDRESS: 'https://127.0.0.1:1',
      CA_ROOT_CA: 'SYSTEM',
      INPOD_UDS: path,
    },
  })
  t.teardown(() => child.kill('SIGKILL'))
  const here = NetworkNamespace.current()
  return {
    ready: () => httpGetIn(here, 15021, '/healthz/ready'),
    descriptors: () => readdirSync(`/proc/${pidInProc(child.pid)}/fd`).length,
    running: () => child.exitCode === null && child.signalCode === null,
  }
}

/** A process of our own PID namespace by its number in the namespace that /proc was mounted in. */
function pidInProc(pid: number | undefined): string {
  const own = readlinkSync('/proc/self/ns/pid')
  const found = readdirSync('/proc').find((entry) => {
    try {
      const [, numbers = ''] = /^NSpid:(.*)$/m.exec(readFileSync(`/proc/${entry}/status`, 'utf8')) ?? []
      return numbers.split('\t').at(-1) === String(pid) && readlinkSync(`/proc/${entry}/ns/pid`) === own
    } catch {
      // No process, or one that has ended meanwhile.
      return false
    }
  })
  if (found === undefined) throw new Error(`process ${pid} is not in /proc`)
  return found
}

/** Whether somebody listens where HBONE goes. */
function served(namespace: NetworkNamespace): Promise<boolean> {
  const sockets = createSocketFactory({ namespace, mark: undefined, reusePort: false })
  const socket = sockets.connect({ address: '127.0.0.1', port: HBONE_PORT })
  return new Promise((resolve) => {
    const done = (result: boolean) => {
      socket.destroy()
      resolve(result)
    }
    socket.once('connect', () => done(true))
    socket.once('error', () => done(false))
  })
}
