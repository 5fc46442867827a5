import '../support/own-namespaces.ts'
import { Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { runCommand } from '../../src/lab/command.ts'
import { startLab } from '../../src/lab/mesh-lab.ts'
import { type NetworkNamespace, openTcpSocket } from '../../src/linux/index.ts'
import { until } from '../support/until.ts'

const MANIFESTS = fileURLToPath(new URL('../../labs/dual-stack', import.meta.url))

/** The addresses that istio-cni translates kubelet's to. */
const PROBES = [
  { family: 4, address: '169.254.7.127', pod: '10.244.2.12', other: '10.244.2.1' },
  {
    family: 6,
    address: 'fd16:9254:7127:1337:ffff:ffff:ffff:ffff',
    pod: 'fd00:10:244:2::12',
    other: 'fd00:10:244:2::1',
  },
] as const

t.test('a node’s health probes reach the application of a captured pod; others are judged', async (t) => {
  await using lab = await startLab({ manifests: MANIFESTS })
  const node = lab.network.namespace('node-b')
  for (const { family, address, pod, other } of PROBES) {
    const length = family === 4 ? 32 : 128
    await runCommand(
      'ip',
      ['address', 'add', `${address}/${length}`, 'dev', 'lo', ...(family === 6 ? ['nodad'] : [])],
      {
        namespace: node,
      },
    )
    const answer = await get(node, family, address, pod)
    t.match(answer, /^HTTP\/1\.1 200/, `IPv${family} probe`)
    t.match(answer, `"from":"${address}"`, 'the application itself answers, to the probe')
    t.equal(
      await get(node, family, other, pod),
      '',
      'the node at its own address is not allowed by any policy',
    )
  }
  const sources = () => lab.proxyLogs().map(({ source }) => source)
  const saw = (address: string): boolean => sources().some((source) => source.includes(address))
  // Those that were judged came after the probes: once they are in the log, the probes would be.
  await until(() => PROBES.every(({ other }) => saw(other)), 'what the node sent as itself to be logged')
  t.same(
    sources().filter((source) => PROBES.some(({ address }) => source.includes(address))),
    [],
    'no proxy saw a probe',
  )
})

/** An HTTP request from one address of a namespace; what came back, empty when the connection was refused or cut. */
function get(namespace: NetworkNamespace, family: 4 | 6, from: string, to: string): Promise<string> {
  const fd = namespace.run(() => openTcpSocket({ family, transparentSource: from }))
  // Reading must not begin before the connect.
  const options: object = { fd, readable: true, writable: true, manualStart: true }
  const socket = new Socket(options).connect({ host: to, port: 8000 })
  socket.setTimeout(10_000, () => socket.destroy(new Error(`no answer from ${to}`)))
  socket.write('GET / HTTP/1.1\r\nhost: probe\r\nconnection: close\r\n\r\n')
  return text(socket).catch(() => '')
}
