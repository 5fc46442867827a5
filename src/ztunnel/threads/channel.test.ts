import { once } from 'node:events'
import { MessageChannel } from 'node:worker_threads'
import t, { type Test } from 'tap'
import { type Answers, Channel } from './channel.ts'

interface Api {
  double(number: number): number
  fail(): void
  slow(): void
}

function pair(t: Test, answers: Partial<Answers<Api>> = {}) {
  const { port1, port2 } = new MessageChannel()
  t.teardown(() => port1.close())
  const client = new Channel<Api, object>(port1, {})
  const seen: string[] = []
  new Channel<object, Api>(
    port2,
    {
      double: async (number) => number * 2,
      fail: () => {
        throw new RangeError('out of luck')
      },
      slow: () => void seen.push('slow'),
      ...answers,
    },
    ['slow'],
  )
  return { client, seen, port1, port2 }
}

t.test('a call is answered with the value, or with the text of the error', async (t) => {
  const { client } = pair(t)
  t.same(await Promise.all([client.call('double', 2), client.call('double', 3)]), [4, 6])
  await t.rejects(client.call('fail'), { message: 'out of luck' })
})

t.test('after a slow call the event loop has its turn, and the order stays', async (t) => {
  const order: string[] = []
  const { client } = pair(t, {
    slow: () => {
      order.push('slow')
      setImmediate(() => order.push('turn'))
    },
    double: async (number) => {
      order.push('double')
      return number
    },
  })
  client.tell('slow')
  client.tell('slow')
  await client.call('double', 1)
  t.same(order.slice(0, 2), ['slow', 'turn'])
  t.same(
    order.filter((what) => what !== 'turn'),
    ['slow', 'slow', 'double'],
  )
})

t.test('with the other thread gone, every call is rejected', async (t) => {
  const { client } = pair(t, { double: () => new Promise(() => {}) })
  const waiting = client.call('double', 1)
  client.gone()
  await t.rejects(waiting, { name: 'ThreadGone' })
  await t.rejects(client.call('double', 1), { name: 'ThreadGone' })
  client.tell('slow')
})

t.test('what nobody waits for does not fail in silence', async (t) => {
  const failure = once(process, 'unhandledRejection')
  const { client } = pair(t)
  client.tell('fail')
  const [error] = await failure
  t.match(error, { message: 'out of luck' })
})
