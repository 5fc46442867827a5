/** One thing that a lab's check looked at. */
export interface Finding {
  /** What ought to be so: `guest does not reach helloworld`. */
  readonly what: string
  readonly right: boolean
  /** What was seen instead, or in evidence; one line. */
  readonly seen: string
  /** Where it is wrong: the next thing to look at or to do. */
  readonly hint?: string
}

/** What a check gathers its evidence from: the mesh of the compose file, while it runs. */
export interface ComposeMesh {
  /** Makes an HTTP request from a service's container, and finds what the proxies wrote of it. */
  call(from: string, url: string): Promise<Call>
  /** As {@link call}, several times, one after the other. */
  calls(from: string, url: string, count: number): Promise<readonly Call[]>
  /** All lines of the access logs of these services that are still kept, oldest first. */
  accessLog(services: readonly string[]): Promise<readonly AccessLine[]>
  /** The last lines of a service's log, oldest first. */
  logLines(service: string): Promise<readonly string[]>
  /** The JSON, or else the text, that a port on a container's localhost answers; rejects where nobody does. */
  ask(service: string, url: string): Promise<unknown>
  /** The text of a file in a container. */
  read(service: string, path: string): Promise<string>
  /** State of each container of the project. */
  containers(): Promise<readonly ContainerState[]>
}

/** A request and what became of it. */
export interface Call {
  /** Compose service of the client. */
  readonly from: string
  readonly url: string
  /** HTTP status; 0 where there was no answer. */
  readonly status: number
  /** curl's exit status; 0 where there was an answer, of whatever status. */
  readonly exit: number
  /** The answer's body, its first 4 KiB. */
  readonly body: string
  /** Lines of this very connection in the access logs of all proxies. */
  readonly lines: readonly AccessLine[]
}

/** A line of an access log: the end of a connection, or a request at a waypoint. */
export interface AccessLine {
  /** Compose service of the proxy that wrote it. */
  readonly proxy: string
  readonly message: string
  /** By the names in the line: `src.identity`, `error`. Absent where the line has none. */
  readonly fields: Readonly<Record<string, string>>
}

export interface ContainerState {
  readonly service: string
  /** Docker's: `running`, `exited`. */
  readonly state: string
}

/** A lab's check: evidence is gathered first and judged then, so that the judgement can be tried without a mesh. */
export interface LabCheck<Evidence> {
  /** Of the lab's folder: `03-allow-and-deny`. */
  readonly lab: string
  gather(mesh: ComposeMesh): Promise<Evidence>
  judge(evidence: Evidence): readonly Finding[]
}
