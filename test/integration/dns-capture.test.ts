import '../support/own-namespaces.ts'
import { once } from 'node:events'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { defaultManifests } from '../../src/lab/app.ts'
import { runCommand, spawnIn } from '../../src/lab/command.ts'
import { httpGetIn } from '../../src/lab/http-probe.ts'
import { type MeshLab, startLab } from '../../src/lab/mesh-lab.ts'
import { OUTSIDE } from '../../src/lab/topology.ts'
import { until } from '../support/until.ts'

/** Of documentation (RFC 5737): only the redirection gets an answer out of it. */
const NAME_SERVER = '192.0.2.53'
const CLIENT = 'foo/sleep'

/** The lab's manifests, with DNS captured in one pod. */
async function manifestsWithDnsCapture(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ztunnel-dns-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await cp(defaultManifests(), folder, { recursive: true })
  const file = join(folder, 'foo.yaml')
  const pod = '  name: sleep\n  labels:\n    app: sleep\n'
  const text = await readFile(file, 'utf8')
  if (!text.includes(pod)) throw new Error('the manifests have changed: where is the pod sleep?')
  await writeFile(file, text.replace(pod, `${pod}  annotations:\n    ambient.istio.io/dns-capture: 'true'\n`))
  return folder
}

/** Runs a program of test/support in the captured pod and reads its JSON. */
async function inClient(lab: MeshLab, program: string, ...argv: string[]): Promise<Record<string, unknown>> {
  const path = new URL(`../support/${program}`, import.meta.url).pathname
  const namespace = lab.network.namespace('foo.sleep')
  return JSON.parse(await runCommand(process.execPath, [path, ...argv], { namespace })) as Record<
    string,
    unknown
  >
}

/** A name server on the host outside, named by the resolv.conf that every process of this test sees. */
async function startOutsideNameServer(lab: MeshLab): Promise<void> {
  const path = new URL('../support/name-server.ts', import.meta.url).pathname
  const argv = [path, OUTSIDE.address, '192.0.2.7']
  const child = spawnIn(lab.network.namespace(OUTSIDE.name), process.execPath, argv, {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => void child.kill())
  if (child.stdout !== null) await once(child.stdout, 'data')
}

async function mountResolvConf(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'ztunnel-resolv-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'resolv.conf')
  await writeFile(file, `nameserver ${OUTSIDE.address}\n`)
  // Where it is a link into /run, which is empty here, there is nothing yet to mount it over.
  const mount =
    'to=$(readlink -m /etc/resolv.conf); mkdir -p "$(dirname "$to")"; touch -a "$to"; mount --bind "$0" "$to"'
  await runCommand('sh', ['-c', mount, file])
}

t.test('a captured pod finds services by name and reaches them', async (t) => {
  await mountResolvConf()
  const proxyEnv = { UNSTABLE_ENABLE_SOCKS5: 'true' }
  await using lab = await startLab({ manifests: await manifestsWithDnsCapture(), proxyEnv })
  await startOutsideNameServer(lab)
  const { host: vip } = lab.resolve({ to: 'bar-1/httpbin', by: 'service', port: 'http' })
  const resolve = (name: string, type = 'A') => inClient(lab, 'resolve-name.ts', NAME_SERVER, type, name)

  await t.test('11.6, 12.6 its questions go to the proxy, whatever server they are sent to', async (t) => {
    for (const name of [
      'httpbin.bar-1.svc.cluster.local',
      'httpbin.bar-1',
      'httpbin.bar-1.foo.svc.cluster.local',
    ])
      t.same(await resolve(name), { records: [vip] }, name)
    t.same(await resolve('httpbin.bar-1', 'AAAA'), { code: 'ENODATA' }, 'known, without such an address')
  })

  await t.test(
    '12.8 other names go on to the proxy’s name server, out of the pod and past the redirection',
    async (t) => {
      t.same(await resolve('example.com'), { records: ['192.0.2.7'] })
      t.same(await resolve('nowhere.example.com'), { code: 'ENOTFOUND' })
      t.same(await resolve('large.example.com'), { records: ['192.0.2.7'] }, 'cut over UDP, whole over TCP')
      const { body } = await httpGetIn(lab.network.namespace('node-a'), 15_020, '/stats/prometheus')
      t.match(body, 'request_protocol="tcp"', 'which is captured too')
    },
  )

  await t.test('the address that it got leads through the mesh', async (t) => {
    const { records } = await resolve('httpbin.bar-1')
    const host = Array.isArray(records) ? String(records[0]) : ''
    const request = { kind: 'http', path: '/', marker: lab.newMarker(), host, port: 80 } as const
    const report = await lab.connect(CLIENT, request)
    t.match(report, { ok: true, status: 200 })
    const source = `${report.localAddress}:${report.localPort}`
    await until(() => lab.proxyLogs().some((record) => record.source === source), `a record of ${source}`)
  })

  await t.test('7.2, 7.4 by SOCKS5 it reaches them by name, through the mesh', async (t) => {
    const before = lab.proxyLogs().length
    t.match(await inClient(lab, 'socks-client.ts', 'httpbin.bar-1', '80'), { status: 'HTTP/1.1 200 OK' })
    const outbound = () =>
      lab
        .proxyLogs()
        .slice(before)
        .find(({ direction }) => direction === 'outbound')
    await until(() => outbound() !== undefined, 'the client’s proxy to say how it ended')
    t.match(outbound(), { source: /^10\.244\.1\.10:/, destinationIdentity: /\/ns\/bar-1\// })
    t.match(await inClient(lab, 'socks-client.ts', 'nowhere.example.com', '80'), { reply: 4 })
  })

  await t.test('14.2 the questions are counted', async (t) => {
    const { body } = await httpGetIn(lab.network.namespace('node-a'), 15_020, '/stats/prometheus')
    t.match(body, /istio_dns_requests_total\{request_query_type="a",request_protocol="udp",.*\} \d/)
    t.match(body, /istio_dns_upstream_requests_total\{request_query_type="a"/)
  })
})
