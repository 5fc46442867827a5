// A client program: asks a name server, as any application of a pod would, and
// prints what it got as JSON. The server's address is one that nobody has.
import { Resolver } from 'node:dns/promises'

const [server = '', type = 'A', name = ''] = process.argv.slice(2)
const resolver = new Resolver({ timeout: 5000, tries: 1 })
resolver.setServers([server])
try {
  process.stdout.write(JSON.stringify({ records: await resolver.resolve(name, type) }))
} catch (error) {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined
  process.stdout.write(JSON.stringify({ code }))
}
