import type { Test } from 'tap'
import type { SpiffeId } from '../../../src/identity/index.ts'
import type { Component } from '../../../src/lab/component.ts'
import type { TlsFiles } from '../../../src/sidecar/index.ts'
import { until } from '../../support/until.ts'
import type { EnvoyProcess } from './envoy-process.ts'
import type { InteropLab } from './interop-lab.ts'
import type { dialIn, TestApp } from './sockets.ts'
import { receive } from './tunnel-suite.ts'

type Dial<Arguments extends readonly unknown[]> = (...from: Arguments) => ReturnType<typeof dialIn>

/** An Envoy at whose door our outbound proxy checks who is there. */
export interface Believed {
  readonly lab: InteropLab
  readonly id: Partial<SpiffeId>
  readonly start: (tls: TlsFiles) => Promise<EnvoyProcess>
  readonly dial: Dial<[]>
  readonly app: TestApp
  /** Statistics of where its tunnels end. */
  readonly downstream: string
}

/** An Envoy that opens tunnels to us under several identities. */
export interface Admitted {
  /** The pod's proxy, which is to refuse. */
  readonly proxy: Component
  readonly dial: Dial<[port: number]>
  readonly app: TestApp
}

/** Certificates that our side must refuse, and why it says so. */
export async function badClients(
  lab: InteropLab,
  id: Partial<SpiffeId>,
): Promise<readonly { readonly what: string; readonly tls: TlsFiles; readonly reason: string }[]> {
  const { roots } = await lab.credentials(id)
  return [
    {
      what: 'of a foreign trust domain',
      tls: await lab.credentials({ ...id, trustDomain: 'elsewhere.example' }),
      reason: 'did not present the expected trustdomain',
    },
    {
      what: 'of a root that we do not know',
      tls: await lab.rogueCredentials(id),
      reason: 'not signed by a root that this workload trusts',
    },
    { what: 'without a certificate', tls: { roots }, reason: 'peer did not return a certificate' },
    {
      what: 'whose certificate has expired',
      tls: await lab.expiredCredentials(id),
      reason: 'certificate is expired',
    },
  ]
}

/** One of {@link badClients}, behind a port: refused and logged, and no application sees it. */
export async function refusesClient(
  t: Test,
  { proxy, dial, app }: Admitted,
  port: number,
  reason: string,
): Promise<void> {
  const [before, said] = [app.connections, proxy.tail.filter((line) => line.includes(reason)).length]
  const client = await dial(port)
  client.write('hello')
  t.equal((await receive(client)).bytes, 0)
  t.equal(app.connections, before)
  const logged = (): boolean => proxy.tail.filter((line) => line.includes(reason)).length > said
  await until(logged, `our log: ${reason}; ${proxy.tail.slice(-3).join('\n')}`)
}

/** Envoys that are not who was dialled: refused and logged, no request is sent; the right one is believed afterwards. */
export async function refusesServers(t: Test, believed: Believed): Promise<void> {
  const { lab, id, start, dial, app, downstream } = believed
  const good = await lab.credentials(id)
  for (const { what, tls, reason } of await badServers(lab, id, good)) {
    await t.test(`${what}: refused, logged, and no byte is sent`, async (t) => {
      await using envoy = await start(tls)
      const [before, connections] = [lab.mesh.journal.length, app.connections]
      const client = await dial()
      client.write('hello')
      t.equal((await receive(client)).bytes, 0)
      t.equal(app.connections, connections)
      t.equal(await envoy.stat(`${downstream}.downstream_rq_total`), 0)
      await until(() => lab.mesh.journal.length > before, 'the access log')
      t.match(lab.mesh.journal.since(before)[0]?.error, reason)
    })
  }
  await t.test('the right one is believed right afterwards', async (t) => {
    await using _envoy = await start(good)
    const client = await dial()
    client.end('hello')
    t.equal((await receive(await app.accept())).text, 'hello')
  })
}

async function badServers(lab: InteropLab, id: Partial<SpiffeId>, good: TlsFiles) {
  const rogue = await lab.rogueCredentials(id)
  return [
    {
      what: 'another service account of the mesh',
      tls: await lab.credentials({ ...id, serviceAccount: 'impostor' }),
      reason: /identity verification error: peer did not present the expected SAN/,
    },
    {
      what: 'a foreign trust domain',
      tls: await lab.credentials({ ...id, trustDomain: 'elsewhere.example' }),
      reason: /identity verification error: peer did not present the expected SAN/,
    },
    {
      what: 'a root that we do not know',
      tls: rogue,
      reason: /unable to get local issuer certificate|unable to verify|self-signed certificate/,
    },
    {
      what: 'an expired certificate',
      tls: await lab.expiredCredentials(id),
      reason: /certificate has expired/,
    },
    {
      what: 'Envoy does not know our root: TLS alert',
      tls: { ...good, roots: rogue.ownRoots },
      reason: /tlsv1 alert unknown ca|peer closed the connection during the handshake/,
    },
  ]
}
