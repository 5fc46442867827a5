/** The data path's thread, which fails when a test asks for it. */
import { BroadcastChannel, parentPort, workerData } from 'node:worker_threads'
import type { ThreadData } from './api.ts'
import { startDataThread } from './data-thread.ts'

if (parentPort === null) throw new Error('this file is run by worker threads of a test only')
const data = workerData as ThreadData
const faults = new BroadcastChannel('failing-thread')
faults.unref()
faults.onmessage = ({ data: thread }) => {
  if (thread !== data.thread) return
  setImmediate(() => {
    throw new Error('injected fault')
  })
}
startDataThread(parentPort, data)
