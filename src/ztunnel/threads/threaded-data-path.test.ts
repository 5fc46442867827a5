import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { BroadcastChannel } from 'node:worker_threads'
import t, { type Test } from 'tap'
import { createInMemoryCa } from '../../identity/ca-create.ts'
import { CertificateAuthority } from '../../identity/certificate-authority.ts'
import { SvidManager } from '../../identity/index.ts'
import { MeshStore, type Workload, workloadIdentity } from '../../mesh/index.ts'
import { aWorkload } from '../../mesh/test-support.ts'
import { ConnectionTelemetry, createLogger, createMetrics } from '../../telemetry/index.ts'
import { loadConfig } from '../config/config.ts'
import type { ServedProxy } from '../data-path.ts'
import { proxySettings } from '../proxy-settings.ts'
import { ThreadedDataPath } from './threaded-data-path.ts'

t.setTimeout(60_000)

const HBONE = 25_008
const OUTBOUND = 25_001
const ENTRY = new URL('./failing-thread-fixture.ts', import.meta.url)

t.test('a renewed certificate reaches every thread', async (t) => {
  const { path, svids, workload } = await setup(t)
  await serve(t, path, workload)
  const presented = (): Promise<readonly string[]> => Promise.all(Array.from({ length: 8 }, presentedSerial))
  const first = new Set(await presented())
  t.equal(first.size, 1, 'all have one certificate')
  const id = workloadIdentity(workload)
  const renewed = new Promise<string>((resolve) => {
    const stop = svids.onRotate(id, ({ serialNumber }) => {
      stop()
      resolve(BigInt(serialNumber).toString(16).toUpperCase())
    })
  })
  await renewed
  await until(
    async () => (await presented()).every((serial) => !first.has(serial)),
    'all to present the new one',
  )
})

t.test('the limit of a workload holds over all threads, and is free again when a thread fails', async (t) => {
  const { path, workload, lines, fail } = await setup(t, { ZTUNNEL_MAX_CONNECTIONS_PER_WORKLOAD: '8' })
  await serve(t, path, workload)
  const all: Socket[] = []
  // Connections to 15008 that say nothing: each holds a place.
  const openMore = async (count: number): Promise<void> => {
    all.push(...(await Promise.all(Array.from({ length: count }, () => open(t, HBONE)))))
  }
  const open8 = (): boolean => all.filter(({ destroyed }) => !destroyed).length === 8
  await openMore(12)
  await until(open8, 'four of twelve to be refused')
  fail(1)
  await until(() => lines.some((line) => line.includes('worker thread replaced')), 'a new thread')
  await until(() => !open8(), 'some to have ended with their thread')
  // To either thread: more than there can be places, for both.
  await openMore(16)
  await until(open8, 'their places to be taken again, and no others')
})

t.test('a workload comes and another goes while a thread is being replaced', async (t) => {
  const { path, workload, lines, fail } = await setup(t)
  const going = path.serve(served(workload))
  await going.run()
  fail(1)
  await until(() => lines.some((line) => line.includes('it is replaced')), 'the end of a thread')
  going.close()
  // The port is free for another at once: nothing holds it but the threads that are told.
  const coming = await serve(t, path, workload)
  t.same(await coming.connections(), [])
  t.equal(
    new Set(await Promise.all(Array.from({ length: 8 }, presentedSerial))).size,
    1,
    'both threads serve',
  )
})

t.test('a drain closes the ports, and waits for what is open', async (t) => {
  const { path, workload } = await setup(t)
  const proxy = path.serve(served(workload))
  t.teardown(() => proxy.close())
  await proxy.run()
  const tunnel = await connectHbone(t)
  const drained = proxy.drain()
  await until(() => refused(OUTBOUND), 'the port to be closed')
  await until(() => refused(HBONE), 'the other port to be closed')
  tunnel.destroy()
  await drained
})

t.test('a level that is set later holds in every thread, the new one too', async (t) => {
  const { path, workload, logger, lines, fail } = await setup(t)
  await serve(t, path, workload)
  logger.addDirectives('access=off')
  fail(0)
  await until(() => lines.some((line) => line.includes('worker thread replaced')), 'a new thread')
  const warned = (): boolean => lines.some((line) => line.includes('"scope":"access"'))
  const refused = async (): Promise<void> => {
    // To the proxy's own port: refused with a warning of scope access.
    const socket = await open(t, OUTBOUND)
    await once(socket, 'close')
  }
  await Promise.all([refused(), refused(), refused(), refused()])
  t.notOk(warned(), 'nothing is written')
  logger.addDirectives('access=info')
  await until(async () => {
    await refused()
    return warned()
  }, 'it to be written again')
})

t.test('a thread that cannot be started is said so', async (t) => {
  await t.rejects(setup(t, {}, new URL('./no-such-thread.ts', import.meta.url)), {
    code: 'configuration',
    message: /worker threads cannot be started: .*no-such-thread/,
  })
})

async function setup(t: Test, env: Readonly<Record<string, string>> = {}, entry = ENTRY) {
  const config = loadConfig({
    ...{
      XDS_ADDRESS: '',
      XDS_ROOT_CA: 'SYSTEM',
      CA_ROOT_CA: 'SYSTEM',
      AUTH_TOKEN: 'token',
      PACKET_MARK: '0',
    },
    ...{ ZTUNNEL_INBOUND_HBONE_PORT: String(HBONE), ZTUNNEL_OUTBOUND_PORT: String(OUTBOUND) },
    ...{ ZTUNNEL_INBOUND_PLAINTEXT_PORT: '25006', IPV6_ENABLED: 'false', ENABLE_ORIG_SRC: 'false' },
    LOG_FORMAT: 'json',
    ...env,
  })
  const lines: string[] = []
  const write = (text: string): void => void lines.push(...text.split('\n'))
  const logger = createLogger({ format: 'json', level: 'info', destination: { write } })
  const authority = new CertificateAuthority(await createInMemoryCa())
  // Renewed after some seconds.
  const svids = new SvidManager({ fetch: (id) => authority.issueSvid(id, 8) })
  const mesh = new MeshStore()
  const workload = aWorkload({ name: 'web', addresses: ['127.0.0.1'] })
  mesh.upsertWorkload(workload)
  const metrics = createMetrics().traffic
  const shared = {
    ...{ mesh, svids, metrics, settings: proxySettings(config), log: logger.scope('proxy') },
    telemetry: new ConnectionTelemetry({ log: logger.scope('access'), metrics }),
    random: Math.random,
    lookup: async () => [],
  }
  t.teardown(() => svids.close())
  const path = await ThreadedDataPath.start({ config, shared, svids, logger, threads: 2, entry })
  t.teardown(() => path.close())
  const faults = new BroadcastChannel('failing-thread')
  t.teardown(() => faults.close())
  return { path, svids, workload, logger, lines, fail: (thread: number) => faults.postMessage(thread) }
}

function served({ name, namespace, serviceAccount }: Workload) {
  return {
    info: { name, namespace, serviceAccount },
    namespace: undefined,
    reusePort: true,
    hboneOnly: false,
  }
}

async function serve(t: Test, path: ThreadedDataPath, workload: Workload): Promise<ServedProxy> {
  const proxy = path.serve(served(workload))
  t.teardown(() => proxy.close())
  await proxy.run()
  return proxy
}

async function open(t: Test, port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port })
  t.teardown(() => socket.destroy())
  socket.on('error', () => {}).on('end', () => socket.destroy())
  socket.resume()
  await once(socket, 'connect')
  return socket
}

/** Of the certificate that whichever thread accepts shows; hexadecimal. */
async function presentedSerial(): Promise<string> {
  const socket = await connectHbone()
  const { serialNumber } = socket.getPeerCertificate()
  socket.destroy()
  return serialNumber
}

async function connectHbone(t?: Test): Promise<TLSSocket> {
  const socket = connectTls({
    ...{ host: '127.0.0.1', port: HBONE },
    rejectUnauthorized: false,
    ALPNProtocols: ['h2'],
  })
  t?.teardown(() => socket.destroy())
  socket.on('error', () => {}).on('end', () => socket.destroy())
  await once(socket, 'secureConnect')
  socket.resume()
  return socket
}

/** Whether nobody listens on a port. */
async function refused(port: number): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port })
  try {
    await once(socket, 'connect')
    return false
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED'
  } finally {
    socket.destroy()
  }
}

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + 20_000
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within 20 s: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
