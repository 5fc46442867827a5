import t from 'tap'
import { dialTcp, received, tunnel } from './test-support.ts'

// FIN becomes END_STREAM and FIN again, and the other direction goes on.
t.test('the client closes first', async (t) => {
  const { port } = await tunnel(t, (app) => {
    void received(app).then((request) => app.end(`answer to ${request}`))
  })
  const client = await dialTcp(t, port)
  client.end('question')
  t.equal(String(await received(client)), 'answer to question')
})

t.test('the server closes first', async (t) => {
  let heard: Promise<Buffer> | undefined
  const { port } = await tunnel(t, (app) => {
    heard = received(app)
    app.end('greeting')
  })
  const client = await dialTcp(t, port)
  t.equal(String(await received(client)), 'greeting')
  client.end('late answer')
  t.equal(String(await heard), 'late answer')
})

t.test('the server speaks first', async (t) => {
  const { port } = await tunnel(t, (app) => {
    app.write('220 ready')
    app.once('data', () => app.end())
  })
  const client = await dialTcp(t, port)
  const greeting = await new Promise<Buffer>((resolve) => client.once('data', resolve))
  t.equal(greeting.toString(), '220 ready')
  client.end('quit')
  t.equal(String(await received(client)), '')
})

t.test('both close at once', async (t) => {
  let heard: Promise<Buffer> | undefined
  const { port } = await tunnel(t, (app) => {
    heard = received(app)
    app.end('b'.repeat(300_000))
  })
  const client = await dialTcp(t, port)
  client.end('a'.repeat(300_000))
  t.equal((await received(client)).length, 300_000)
  t.equal((await heard)?.length, 300_000)
})
