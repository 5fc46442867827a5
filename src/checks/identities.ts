import { isFrom, isTunnel, lastOf, SLEEP, summary } from './evidence.ts'
import type { AccessLine, LabCheck } from './model.ts'

/** 02: helloworld was called by sleep, who proves who it is, and by one who proves nothing. */
export const identities: LabCheck<readonly AccessLine[]> = {
  lab: '02-who-are-you',
  gather: (mesh) => mesh.accessLog(['proxy-a', 'proxy-b']),
  judge: (lines) => {
    const arrived = lines.filter(
      ({ fields }) =>
        fields['direction'] === 'inbound' && fields['dst.service']?.startsWith('helloworld.') === true,
    )
    const proven = lastOf(arrived, (line) => isFrom(line.fields, SLEEP) && isTunnel(line))
    const plain = lastOf(
      arrived,
      ({ fields }) => fields['src.identity'] === undefined && fields['dst.hbone_addr'] === undefined,
    )
    const ended = (line: AccessLine | undefined) => line !== undefined && line.fields['error'] === undefined
    return [
      {
        what: 'helloworld was called by sleep, and its proxy knows it by a certificate',
        right: ended(proven),
        seen: summary(proven),
        hint: 'docker compose exec sleep curl -s http://helloworld:5000/hello, then docker compose logs proxy-a proxy-b',
      },
      {
        what: 'helloworld was called by somebody without an identity, in plaintext',
        right: ended(plain),
        seen: summary(plain),
        hint: 'docker compose exec outsider curl -s http://helloworld-v1:5000/hello; a policy of an earlier lab may forbid it: ls compose/policies',
      },
    ]
  },
}
