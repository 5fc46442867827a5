import type { RedirectionOptions } from '../linux/index.ts'
import type { WorkloadInfo } from '../zds/index.ts'

/** A pod of this node that the mesh is to capture. */
export interface CapturedPod extends WorkloadInfo {
  /** Opaque; the same for as long as it is the same pod. */
  readonly uid: string
  /** Path of its network namespace, which may come to exist later. */
  readonly networkNamespace: string
  readonly redirection: RedirectionOptions
  /** Whether no other agent may work on the namespace meanwhile. Default false. */
  readonly exclusive?: boolean
}

/** Who is to be captured on this node, now and later. */
export interface PodSource {
  /** The set as it is now. */
  pods(): readonly CapturedPod[]
  /** Calls `onChange` after each change; what it returns ends that. */
  subscribe(onChange: () => void): () => void
}

/** Where the agent's log lines go; fields are for machines and people alike. */
export interface AgentLogger {
  info(message: string, fields?: Readonly<Record<string, unknown>>): void
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void
  error(message: string, fields?: Readonly<Record<string, unknown>>): void
}
