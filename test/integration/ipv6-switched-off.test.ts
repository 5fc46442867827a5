import '../support/own-namespaces.ts'
import t from 'tap'
import { worksOverIpv4 } from '../support/ipv4-only.ts'

t.test(
  'with IPv6 switched off in every namespace, capture, HBONE and the proxy’s own ports work',
  async (t) => {
    await worksOverIpv4(t, { ipv6Disabled: true })
  },
)
