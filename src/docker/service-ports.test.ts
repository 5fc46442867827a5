import fc from 'fast-check'
import t from 'tap'
import { parseServicePorts } from './service-ports.ts'

t.test('ports, where they lead, and what they speak', async (t) => {
  t.strictSame(parseServicePorts('80:8080/http, 9090/grpc,5432'), [
    { port: 80, targetPort: 8080, appProtocol: 'http' },
    { port: 9090, targetPort: 9090, appProtocol: 'grpc' },
    { port: 5432, targetPort: 5432, appProtocol: undefined },
  ])
  t.strictSame(parseServicePorts(''), [], 'none')
})

t.test('what is no port is said, and nothing is made of it', async (t) => {
  for (const text of ['0', '65536', '80:0', 'http', '80/HTTP', '80:', '-1', '80 81', '1e3']) {
    t.match(parseServicePorts(text), /is no port; expected SERVICE-PORT/, text)
  }
  t.equal(parseServicePorts('80,81,80:8080'), 'port 80 is there twice')
})

t.test('any text is either ports from 1 to 65535 or a reason', async () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[\d:/a-z, ]*$/)), (text) => {
      const ports = parseServicePorts(text)
      if (typeof ports === 'string') return ports !== ''
      return ports.every(({ port, targetPort }) => [port, targetPort].every((n) => n >= 1 && n <= 65_535))
    }),
  )
})
