import '../support/own-namespaces.ts'
import t from 'tap'
import { startLab, type Target } from '../../src/lab/mesh-lab.ts'
import { capturePackets } from '../../src/linux/index.ts'

/** Connections of each kind: a leak may be one of many. */
const CONNECTIONS = 20

t.test(
  "an app's bytes can be read on the link between two nodes only where the far side has no HBONE",
  async (t) => {
    await using lab = await startLab()
    const seen: Buffer[] = []
    // The bridge that joins the nodes: nothing gets from one to another without crossing it.
    using capture = capturePackets({
      namespace: lab.network.namespace('fabric'),
      onPacket: ({ payload }) => seen.push(Buffer.from(payload)),
    })
    const readable = async (from: string, target: Target): Promise<number> => {
      seen.length = 0
      const markers = await Promise.all(
        Array.from({ length: CONNECTIONS }, async () => {
          const marker = lab.newMarker()
          const request = { kind: 'http', path: `/?${marker}`, marker, ...lab.resolve(target) } as const
          const report = await lab.connect(from, request)
          t.equal(report.markerReturned, true, `${from} → ${target.to}: ${report.error ?? 'answered'}`)
          return marker
        }),
      )
      capture.drain()
      t.ok(seen.length > CONNECTIONS, `${seen.length} packets crossed the link`)
      const link = Buffer.concat(seen)
      return markers.filter((marker) => link.includes(marker)).length
    }
    const vip = (to: string): Target => ({ to, by: 'service', port: 'http' })
    t.equal(await readable('foo/sleep', vip('bar-1/httpbin')), 0, 'ambient to ambient')
    t.equal(await readable('foo/sleep', vip('bar/httpbin')), 0, 'ambient to sidecar')
    t.equal(await readable('foo/sleep-sidecar', vip('bar-3/helloworld')), 0, 'sidecar to ambient')
    t.equal(await readable('foo/sleep', vip('bar/httpbin-legacy')), CONNECTIONS, 'ambient to legacy sidecar')
    t.equal(capture.statistics().droppedByKernel, 0, 'nothing escaped the capture')
  },
)
