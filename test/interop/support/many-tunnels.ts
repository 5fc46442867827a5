import { until } from '../../support/until.ts'
import type { dialIn, TestApp } from './sockets.ts'
import { receive } from './tunnel-suite.ts'

/**
 * Opens so many connections at once, and only when the application has all of
 * them has each say its number and hear it back. Resolves with how many did.
 */
export async function openAtOnce(
  count: number,
  dial: () => ReturnType<typeof dialIn>,
  app: TestApp,
  whileOpen: () => Promise<void> = async () => {},
): Promise<number> {
  const before = app.connections
  const clients = await Promise.all(Array.from({ length: count }, dial))
  // One that was turned away never comes; nothing else is to be read before the question.
  for (const client of clients) client.resume()
  const came = (): number => app.connections - before
  const refused = (): number => clients.filter((client) => client.readableEnded || client.destroyed).length
  await until(() => came() + refused() >= count, `${count} connections are open`).catch((error: unknown) => {
    throw new Error(`${came()} of ${count} came, ${refused()} were refused`, { cause: error })
  })
  for (let i = came(); i > 0; i--) void answer(app)
  await whileOpen()
  const answers = clients.map(async (client, index) => {
    client.end(`number ${index}.`)
    return (await receive(client)).text === `number ${index}.`
  })
  return (await Promise.all(answers)).filter(Boolean).length
}

async function answer(app: TestApp): Promise<void> {
  const socket = await app.accept()
  socket.end((await receive(socket)).text)
}
