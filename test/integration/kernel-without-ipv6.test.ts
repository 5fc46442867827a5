import '../support/own-namespaces.ts'
import t from 'tap'
import { worksOverIpv4 } from '../support/ipv4-only.ts'

const PRELOAD = new URL('../support/without-ipv6.ts', import.meta.url).href

t.test('where the kernel refuses IPv6 sockets, capture, HBONE and the proxy’s own ports work', async (t) => {
  await worksOverIpv4(t, { proxyEnv: { NODE_OPTIONS: `--import ${PRELOAD}` } })
})
