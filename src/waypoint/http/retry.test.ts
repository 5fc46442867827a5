import { once } from 'node:events'
import t from 'tap'
import { engine, http1Upstream, http2Upstream, rawUpstream, talk, targetOf } from './test-support.ts'

const GET = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
const REFUSED = {
  upstreamKey: 'refused',
  protocol: 'http1' as const,
  connect: () => Promise.reject(new Error('no')),
}

t.test('no connection: 503, UF, and nothing about where', async (t) => {
  const { open, nextResult } = engine(t, REFUSED)
  const answer = await talk(open(), GET)
  t.match(answer, /^HTTP\/1.1 503 /)
  t.match(answer, /upstream connect error: the workload cannot be reached/)
  t.match(await nextResult(), { status: 503, flags: ['UF'], tries: 1, detail: 'no' })
})

t.test('no connection, and another endpoint', async (t) => {
  const upstream = await http1Upstream(t, (_, response) => response.end('hello'))
  const { open, nextResult } = engine(t, REFUSED, {
    forward: { retry: { attempts: 1, codes: [], backoffMs: 1, nextTry: async () => upstream.target } },
  })
  t.match(await talk(open(), GET), /hello/)
  t.match(await nextResult(), { status: 200, flags: [], tries: 2, upstreamKey: upstream.target.upstreamKey })
})

t.test('a status that is to be tried again, until the tries are used up', async (t) => {
  let count = 0
  const upstream = await http1Upstream(t, async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    count++
    response.statusCode = 503
    response.end(`${count}: ${body}`)
  })
  const { open, nextResult } = engine(t, upstream.target, {
    forward: { retry: { attempts: 2, codes: [503], backoffMs: 1 } },
  })
  const answer = await talk(
    open(),
    'POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello',
  )
  t.match(answer, /^HTTP\/1.1 503 .*3: hello$/s)
  t.match(await nextResult(), { status: 503, flags: ['URX'], tries: 3, requestBytes: 5 })
  t.equal(upstream.connections(), 1, 'short answers are read to keep the connection')
})

t.test('a status that is not to be tried again', async (t) => {
  const upstream = await http1Upstream(t, (_, response) => response.writeHead(500).end())
  const { open, nextResult } = engine(t, upstream.target, {
    forward: { retry: { attempts: 2, codes: [503], backoffMs: 1 } },
  })
  t.match(await talk(open(), GET), /^HTTP\/1.1 500 /)
  t.match(await nextResult(), { tries: 1, flags: [] })
})

t.test('a body that is too long to be kept is sent once', async (t) => {
  const upstream = await http1Upstream(t, async (request, response) => {
    await once(request.resume(), 'end')
    response.writeHead(503).end()
  })
  const { open, nextResult } = engine(t, upstream.target, {
    forward: { retry: { attempts: 2, codes: [503], backoffMs: 1 } },
  })
  const body = 'x'.repeat(65_537)
  const head = `POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`
  t.match(await talk(open(), head + body), /^HTTP\/1.1 503 /)
  t.match(await nextResult(), { tries: 1 })
})

t.test('a connection that breaks before the answer', async (t) => {
  let count = 0
  const upstream = await rawUpstream(t, (socket) => {
    socket.once('data', () => {
      count++
      if (count === 1) socket.destroy()
      else socket.end('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello')
    })
  })
  t.test('is tried again where that was asked for', async (t) => {
    const { open, nextResult } = engine(t, upstream.target, {
      forward: { retry: { attempts: 1, codes: [], backoffMs: 1 } },
    })
    t.match(await talk(open(), GET), /hello/)
    t.match(await nextResult(), { tries: 2 })
  })
  t.test('is 503 and UC where it was not', async (t) => {
    count = 0
    const { open, nextResult } = engine(t, upstream.target)
    t.match(await talk(open(), GET), /^HTTP\/1.1 503 /)
    t.match(await nextResult(), { tries: 1, flags: ['UC'] })
  })
})

t.test('an answer that breaks off is cut off for the client as well, and not tried again', async (t) => {
  const upstream = await rawUpstream(t, (socket) => {
    socket.once('data', () =>
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello', () => socket.end()),
    )
  })
  const { open, nextResult } = engine(t, upstream.target, {
    forward: { retry: { attempts: 1, codes: [], backoffMs: 1 } },
  })
  t.match(await talk(open(), GET), /hello$/)
  t.match(await nextResult(), { status: 200, tries: 1, flags: ['UC'], responseBytes: 5 })
})

t.test(
  'an idle connection that the upstream has closed is replaced for requests that may be repeated',
  async (t) => {
    let count = 0
    const upstream = await rawUpstream(t, (socket) => {
      let requests = 0
      socket.on('data', () => {
        count++
        requests++
        // The second request on a connection meets a closed one.
        if (requests === 2) socket.destroy()
        else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello')
      })
    })
    const { open, nextResult } = engine(t, upstream.target)
    t.match(await talk(open(), GET), /hello/)
    await nextResult()
    t.match(await talk(open(), GET), /hello/)
    t.match(await nextResult(), { status: 200, tries: 2, flags: [] })
    t.match(await talk(open(), GET.replace('GET', 'POST')), /^HTTP\/1.1 503 /)
    t.equal(count, 4)
  },
)

t.test('what is no HTTP: 502, UPE', async (t) => {
  const upstream = await rawUpstream(t, (socket) => socket.once('data', () => socket.end('SSH-2.0\r\n')))
  const { open, nextResult } = engine(t, upstream.target)
  t.match(await talk(open(), GET), /^HTTP\/1.1 502 /)
  t.match(await nextResult(), { flags: ['UPE'] })
})

t.test('no answer in time: 504, UT', async (t) => {
  const upstream = await rawUpstream(t, (socket) => socket.resume())
  for (const forward of [{ requestTimeoutMs: 50 }, { perTryTimeoutMs: 50 }]) {
    const { open, nextResult } = engine(t, upstream.target, { forward })
    t.match(await talk(open(), GET), /^HTTP\/1.1 504 .*upstream request timeout$/s)
    t.match(await nextResult(), { status: 504, flags: ['UT'], tries: 1 })
  }
})

t.test('no answer in time for one try, and another one', async (t) => {
  const silent = await rawUpstream(t, (socket) => socket.resume())
  const upstream = await http1Upstream(t, (_, response) => response.end('hello'))
  const { open, nextResult } = engine(t, silent.target, {
    forward: {
      perTryTimeoutMs: 1000,
      retry: { attempts: 1, codes: [], backoffMs: 1, nextTry: async () => upstream.target },
    },
  })
  t.match(await talk(open(), GET), /hello/)
  t.match(await nextResult(), { tries: 2, flags: [] })
})

t.test('the pause before a try ends with the time for the request', async (t) => {
  const { open, nextResult } = engine(t, REFUSED, {
    forward: { requestTimeoutMs: 100, retry: { attempts: 5, codes: [], backoffMs: 600_000 } },
  })
  t.match(await talk(open(), GET), /^HTTP\/1.1 504 /)
  t.match(await nextResult(), { flags: ['UT'], tries: 1 })
})

t.test('an answer that takes too long is cut off', async (t) => {
  const upstream = await http1Upstream(t, (_, response) => void response.write('hello'))
  const { open, nextResult } = engine(t, upstream.target, { forward: { requestTimeoutMs: 200 } })
  t.match(await talk(open(), GET), /hello/)
  t.match(await nextResult(), { status: 200, flags: ['UT'] })
})

t.test('a stream that the upstream refuses is tried again', async (t) => {
  let count = 0
  const upstream = await http2Upstream(t, (stream) => {
    count++
    if (count === 1) stream.close(7)
    else {
      stream.respond({ ':status': 200 })
      stream.end('hello')
    }
  })
  const { open, nextResult } = engine(t, upstream.target, {
    forward: { retry: { attempts: 1, codes: [], backoffMs: 1 } },
  })
  t.match(await talk(open(), GET), /hello/)
  t.match(await nextResult(), { tries: 2 })
})

t.test('more requests than may wait: 503, UO', async (t) => {
  const { HttpUpstreamPool } = await import('./upstream-pool.ts')
  const upstreams = new HttpUpstreamPool({ maxConnections: 1, maxPending: 1 })
  const upstream = await rawUpstream(t, (socket) => socket.resume())
  const { open, nextResult } = engine(t, targetOf(upstream.port, 'http1'), { upstreams })
  for (let index = 0; index < 3; index++) open().write(GET)
  t.match(await nextResult(), { status: 503, flags: ['UO'] })
})
