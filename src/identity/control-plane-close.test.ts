import { mock } from 'node:test'
import { setImmediate as macrotask } from 'node:timers/promises'
import t from 'tap'
import { IstioCertificateService } from '../gen/istio/v1/auth/ca_pb.ts'
import { CaClient } from './ca-client.ts'
import { newAuthority, serveGrpc, workloadId } from './test-support.ts'

t.test('a connection that is closed in the middle of a call sends no PING later', async (t) => {
  const authority = await newAuthority()
  const certificate = await authority.issueServerCertificate({
    dnsNames: [],
    ipAddresses: ['127.0.0.1'],
    ttlSeconds: 600,
  })
  const asked = Promise.withResolvers<void>()
  const { port, close } = await serveGrpc(certificate, (router) =>
    router.service(IstioCertificateService, {
      createCertificate: () => {
        asked.resolve()
        return new Promise(() => undefined)
      },
    }),
  )
  t.teardown(close)
  const client = new CaClient({
    address: `https://127.0.0.1:${port}`,
    rootCertPem: authority.material.rootsPem,
    impersonate: false,
    ttlSeconds: 60,
  })
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const fetched = client.fetch(workloadId('a'))
  fetched.catch(() => undefined)
  await asked.promise
  client.close()
  await t.rejects(fetched)
  // The stream's own end comes after the call's.
  for (let turn = 0; turn < 5; turn++) await macrotask()
  t.doesNotThrow(() => mock.timers.tick(120_000), 'it would end the process')
})
