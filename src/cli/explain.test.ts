import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { type Explanation, explainConnection, MeshStore, serviceKey } from '../mesh/index.ts'
import { aMatch, aPolicy, aService, aWorkload } from '../mesh/test-support.ts'
import { explanationText } from './explain-text.ts'

const PROGRAM = new URL('../../bin/ztunnel.js', import.meta.url).pathname

function explanation(): Explanation {
  const mesh = new MeshStore()
  const service = aService()
  mesh.upsertService(service)
  const services = new Map([[serviceKey(service), []]])
  mesh.upsertWorkload(aWorkload({ name: 'server', addresses: ['10.0.0.2'], services, node: 'n2' }))
  mesh.upsertWorkload(aWorkload({ name: 'sick', addresses: ['10.0.0.3'], services, status: 'UNHEALTHY' }))
  const rules = [[[aMatch({ namespaces: [{ kind: 'exact', value: 'default' }] })]]]
  mesh.upsertPolicy(aPolicy({ scope: 'NAMESPACE', action: 'DENY', rules }))
  return explainConnection(mesh, {
    source: aWorkload(),
    destination: { address: '10.96.0.1', port: 80 },
    network: '',
    enforcement: 'hairpin',
    random: () => 0,
    illegalPorts: new Set(),
  })
}

/** An admin server that gives one answer, and remembers the question. */
async function admin(t: Test, status: number, body: string) {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    response.writeHead(status).end(body)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked }
}

async function run(...args: readonly string[]) {
  const child = spawn(process.execPath, [PROGRAM, 'explain', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ])
  return { stdout, stderr, code }
}

t.test('the text has who decides what, in order, and why', async (t) => {
  t.same(explanationText(explanation(), 'server:80').split('\n'), [
    'default/client on n1 → server:80 (10.96.0.1:80)',
    '',
    'the way out',
    '  address-lookup   10.96.0.1 in network "" is a virtual address of service default/server.default.svc.cluster.local',
    '  upstream-lookup  Kubernetes//Pod/default/server port 8080: 1 of 1 endpoints preferred, mode STANDARD',
    '  destination      HBONE to 10.0.0.2:15008 for 10.0.0.2:8080',
    '  => HBONE to endpoint 10.0.0.2:15008, CONNECT 10.0.0.2:8080, expecting spiffe://cluster.local/ns/default/sa/server',
    '',
    'the endpoints of default/server.default.svc.cluster.local port 80, mode STANDARD',
    '  ✓ default/server  10.0.0.2:8080  n2  100 %: healthy enough, weight 1',
    '  ✗ default/sick  10.0.0.3  n1  excluded: it is not healthy',
    '',
    'the arrival at default/server, judged by the ztunnel of n2',
    '  validate-destination  10.0.0.2 is the address that was reached',
    '  inbound-upstream      port 8080 as asked',
    '  service-guess         for default/server.default.svc.cluster.local',
    '  policies see spiffe://cluster.local/ns/default/sa/client, from 10.0.0.1, to 10.0.0.2:8080',
    '  DENY default/policy: matches',
    '    rule 1: matches',
    '      clause 1: matches',
    '        match 1: matches',
    '          namespaces: "default" against default: holds',
    '  denied: explicitly denied by: default/policy, rule 1',
    '  => refused by policy',
    '',
  ])
})

t.test('asks the proxy, and prints text or its JSON', async (t) => {
  const { url, asked } = await admin(t, 200, JSON.stringify(explanation()))
  t.match(await run('default/client', 'server:80', '--admin', url), {
    code: 0,
    stdout: /^default\/client on n1 → server:80/,
  })
  t.same(asked, ['/explain?source=default%2Fclient&destination=server%3A80'])
  const { stdout } = await run('default/client', 'server:80', '--json', '--admin', url)
  t.same(JSON.parse(stdout), explanation())
})

t.test('what the proxy cannot answer is an error, in its words', async (t) => {
  const { url } = await admin(t, 404, 'no service nobody\n')
  t.match(await run('a/b', 'nobody:80', '--admin', url), {
    code: 1,
    stdout: '',
    stderr: 'ztunnel explain: no service nobody\n',
  })
})

t.test('a proxy that is not there is said, with what to check', async (t) => {
  t.match(await run('a/b', 'c:80', '--admin', 'http://127.0.0.1:1'), { code: 1, stderr: /is it running/ })
  t.match(await run('a/b', 'c:80', '--admin', 'nonsense'), { code: 1, stderr: /is no URL/ })
})
