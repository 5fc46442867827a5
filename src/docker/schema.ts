import { z } from 'zod'

/**
 * The fields of Docker's API that are used here, as of version 1.41 and still in 1.52. Others are not looked at: each
 * version of the engine adds some.
 */

/** Docker writes null for a map that is empty. */
const mapOf = <T extends z.ZodType>(value: T) =>
  z
    .record(z.string(), value)
    .nullish()
    .transform((map) => map ?? {})
const text = z
  .string()
  .nullish()
  .transform((value) => value ?? '')

/** `GET /info` */
export const infoSchema = z.object({ ID: text, Name: text, ServerVersion: text })

/** `GET /containers/json` */
export const listSchema = z.array(z.object({ Id: z.string() }))

/** `GET /containers/{id}/json` */
export const containerSchema = z.object({
  Id: z.string(),
  Name: z.string(),
  Created: text,
  Image: text,
  State: z.object({
    Status: z.string(),
    Running: z.boolean(),
    Paused: z.boolean().nullish(),
    Pid: z.int().nullish(),
    Health: z.object({ Status: text }).nullish(),
  }),
  Config: z.object({ Labels: mapOf(z.string()), ExposedPorts: mapOf(z.unknown()) }),
  HostConfig: z.object({ NetworkMode: text }),
  NetworkSettings: z.object({
    SandboxID: text,
    SandboxKey: text,
    Networks: mapOf(z.object({ NetworkID: text, IPAddress: text, GlobalIPv6Address: text })),
  }),
})

/** `GET /images/{id}/json` */
export const imageSchema = z.object({ Config: z.object({ Labels: mapOf(z.string()) }).nullish() })

/** `GET /networks` */
export const networksSchema = z.array(
  z.object({ Id: z.string(), Name: z.string(), Driver: text, Internal: z.boolean().nullish() }),
)

/** One line of `GET /events`. */
export const eventSchema = z.object({
  Type: text,
  Action: text,
  Actor: z.object({ ID: text, Attributes: mapOf(z.string()) }).nullish(),
})

export type RawContainer = z.infer<typeof containerSchema>
