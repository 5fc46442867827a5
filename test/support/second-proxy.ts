import { join } from 'node:path'
import { ztunnelProgram } from '../../src/lab/app.ts'
import { Component } from '../../src/lab/component.ts'
import { untilHealthy } from '../../src/lab/http-probe.ts'
import type { MeshLab } from '../../src/lab/mesh-lab.ts'
import { nodeTokenFile } from '../../src/lab/state.ts'

/** Ports of the second process on a node; the pods' ports it shares with the first. */
const PORTS = { admin: 15100, stats: 15120, readiness: 15121 }

/** Starts a second node proxy beside the one that runs, as a roll-out does; resolves when it is ready. */
export async function startSecondProxy(lab: MeshLab, node: string): Promise<Component> {
  const { state, topology, network } = lab
  const namespace = network.namespace(node)
  const controlPlane = `https://${topology.controlPlane.address}:15012`
  const root = join(state.certs, 'root-cert.pem')
  const name = `second@${node}`
  const component = Component.start({
    name,
    namespace,
    argv: [ztunnelProgram(), 'proxy'],
    logFile: join(state.logs, `${name}.log`),
    onLine: (line) => lab.journal.read(name, line),
    env: {
      LOG_FORMAT: 'json',
      PROXY_MODE: 'shared',
      NODE_NAME: node,
      INPOD_UDS: join(state.sockets, `${node}.sock`),
      XDS_ADDRESS: controlPlane,
      CA_ADDRESS: controlPlane,
      XDS_ROOT_CA: root,
      CA_ROOT_CA: root,
      AUTH_TOKEN: nodeTokenFile(state, node),
      ZTUNNEL_ADMIN_PORT: String(PORTS.admin),
      ZTUNNEL_STATS_PORT: String(PORTS.stats),
      ZTUNNEL_READINESS_PORT: String(PORTS.readiness),
    },
  })
  const abort = new AbortController()
  try {
    const ready = untilHealthy({
      namespace,
      port: PORTS.readiness,
      path: '/healthz/ready',
      host: '127.0.0.1',
      signal: abort.signal,
      onUnhealthy: () => {},
    })
    await component.within(ready, 'become ready')
    return component
  } catch (error) {
    await component.stop()
    throw error
  } finally {
    abort.abort()
  }
}
