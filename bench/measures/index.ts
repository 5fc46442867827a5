import { bulk } from './bulk.ts'
import { coldConnections, handshakes, warmConnections } from './connections.ts'
import { idle } from './idle.ts'
import type { Measure } from './measure.ts'
import { fixedRate, requests, steady } from './requests.ts'
import { meshSize, start } from './start.ts'

/** Every measure, in the order in which a round takes them: those that leave the proxies as they are come first. */
export const MEASURES: readonly Measure[] = [
  ...([1, 16] as const).flatMap((connections) =>
    (['up', 'down', 'both'] as const).map((direction) => bulk(direction, connections)),
  ),
  requests(1),
  requests(64),
  requests(512),
  fixedRate(2_000, 64),
  warmConnections(),
  handshakes(),
  coldConnections(),
  start(),
  idle(),
  steady(),
  meshSize('small-mesh'),
  meshSize('large-mesh'),
]
