import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { resolve } from 'node:path'
import t, { type Test } from 'tap'

const ZTUNNEL = resolve(import.meta.dirname, '../../bin/ztunnel.js')

t.test('what answers 200 is ready', async (t) => {
  const url = await serve(t, (_request, response) => response.end('ready\n'))
  t.same(await check(url), { status: 0, said: '' })
})

t.test('what says that it is not ready is not, and its reason is shown', async (t) => {
  const url = await serve(t, (_request, response) => response.writeHead(503).end('not ready, pending: xds\n'))
  t.same(await check(url), { status: 1, said: `${url}: 503 not ready, pending: xds\n` })
})

t.test('what is not there is not ready', async (t) => {
  const url = await serve(t, (request) => request.socket.destroy())
  t.match(await check(url), { status: 1, said: /socket hang up|ECONNRESET/ })
})

t.test('what never answers is not ready', async (t) => {
  const url = await serve(t, () => {})
  t.match(await check(url), { status: 1, said: /no answer within 3000 ms/ })
})

t.test('an address of another kind is told', async (t) => {
  t.match(await check('https://127.0.0.1/'), { status: 1, said: /it must be http:/ })
})

async function serve(t: Test, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/ready`
}

function check(url: string): Promise<{ status: number; said: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [ZTUNNEL, 'healthcheck', url], (error, _stdout, said) =>
      resolve({ status: error === null ? 0 : Number(error.code), said }),
    )
  })
}
