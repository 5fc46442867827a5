// Loaded into a proxy by `node --import`, and so into each of its threads: with SIGUSR2 worker thread 1 throws where
// nobody catches it.
import { BroadcastChannel, isMainThread, workerData } from 'node:worker_threads'

const channel = new BroadcastChannel('thread-fault')
channel.unref()
if (isMainThread) {
  process.on('SIGUSR2', () => channel.postMessage('fail'))
} else {
  channel.onmessage = () => {
    if (workerData?.thread !== 1) return
    setImmediate(() => {
      throw new Error('injected fault')
    })
  }
}
