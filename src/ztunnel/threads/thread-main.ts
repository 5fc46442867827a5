/** What a worker thread runs. Started by ThreadedDataPath, never imported. */
import { enableCompileCache } from 'node:module'
import { parentPort, workerData } from 'node:worker_threads'
import type { ThreadData } from './api.ts'

if (parentPort === null) throw new Error('this file is run by worker threads of the proxy only')
const data = workerData as ThreadData
// A thread does not have it from the main thread; without it, it takes three times as long to start.
if (data.compileCache !== undefined) enableCompileCache(data.compileCache)
const { startDataThread } = await import('./data-thread.ts')
startDataThread(parentPort, data)
