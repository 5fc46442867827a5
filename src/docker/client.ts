import { Agent, type Dispatcher, request } from 'undici'
import { decode, decodeContainer, decodeEvent, decodeNetworks } from './decode.ts'
import { type DockerEndpoint, parseDockerEndpoint } from './endpoint.ts'
import { DockerError } from './errors.ts'
import { explainFailure } from './explain-failure.ts'
import { jsonLines } from './json-lines.ts'
import type { Container, DockerEvent, Network } from './model.ts'
import { imageSchema, infoSchema, listSchema } from './schema.ts'

/** Oldest API that has all that is read here: Docker 20.10. */
const MIN_API = '1.41'
/** Newest API that this was written against; a newer engine still speaks it. */
const MAX_API = '1.52'
/** An engine answers in milliseconds; one that pulls images and starts containers, in seconds. Milliseconds. */
const ANSWER_TIMEOUT_MS = 15_000
/** Largest answer, bytes: 10,000 containers in a list are some 20 MB. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024
/** Open connections: one for the events, the rest for questions. */
const CONNECTIONS = 9

/** Images whose labels are kept: more than a host runs. */
const MAX_IMAGES = 1_024

/** Who the engine is. */
export interface EngineInfo {
  /** The machine's name. */
  readonly hostName: string
  readonly version: string
}

/** The part of the Docker Engine API that a mesh lives on. All methods reject with DockerError. */
export class DockerClient {
  readonly endpoint: DockerEndpoint
  readonly #dispatcher: Agent
  #prefix: Promise<string> | undefined
  /** Of images by id, which is a hash: they never change. */
  readonly #imageLabels = new Map<string, Readonly<Record<string, string>>>()

  /** `answerTimeoutMs`: after which an engine counts as one that does not answer. Throws `invalid-endpoint`. */
  constructor(endpoint: string, { answerTimeoutMs = ANSWER_TIMEOUT_MS } = {}) {
    this.endpoint = parseDockerEndpoint(endpoint)
    const { socketPath } = this.endpoint
    this.#dispatcher = new Agent({
      connections: CONNECTIONS,
      headersTimeout: answerTimeoutMs,
      bodyTimeout: answerTimeoutMs,
      connect: socketPath === undefined ? { timeout: answerTimeoutMs } : { socketPath },
    })
  }

  /** Whether the engine answers. */
  async ping(): Promise<void> {
    const { body } = await this.#request('/_ping')
    await body.dump()
  }

  /** Who it is. Agrees on a version of the API first, as every other question does. */
  async info(): Promise<EngineInfo> {
    const { Name, ServerVersion } = decode(infoSchema, await this.#get('/info'), 'the description')
    return { hostName: Name, version: ServerVersion }
  }

  /** Ids of all containers, stopped ones too. */
  async containerIds(): Promise<readonly string[]> {
    return decode(listSchema, await this.#get('/containers/json?all=true'), 'the list').map(({ Id }) => Id)
  }

  /** Undefined when there is no such container any more. */
  async container(id: string): Promise<Container | undefined> {
    const value = await this.#get(`/containers/${encodeURIComponent(id)}/json`, [404])
    if (value === undefined) return undefined
    const { image, container } = decodeContainer(value)
    return container(await this.#labelsOf(image))
  }

  async networks(): Promise<ReadonlyMap<string, Network>> {
    return decodeNetworks(await this.#get('/networks'))
  }

  /**
   * What happens from now on. Resolves once the engine has begun to listen for us, so that what is asked afterwards
   * misses nothing; the events end, or throw, when the engine goes.
   */
  async events(signal: AbortSignal): Promise<AsyncIterable<DockerEvent>> {
    const prefix = await this.#version()
    const filters = encodeURIComponent(JSON.stringify({ type: ['container', 'network'] }))
    // There may be none for hours.
    const options = { bodyTimeout: 0, signal }
    const { body } = await this.#request(`${prefix}/events?filters=${filters}`, options)
    return this.#decoded(body)
  }

  async close(): Promise<void> {
    await this.#dispatcher.destroy()
  }

  /** None of an image that is gone: what its containers have can no longer be told apart. */
  async #labelsOf(image: string): Promise<Readonly<Record<string, string>>> {
    const known = this.#imageLabels.get(image)
    if (known !== undefined || image === '') return known ?? {}
    const value = await this.#get(`/images/${encodeURIComponent(image)}/json`, [404])
    const labels = decode(imageSchema, value ?? {}, 'an image').Config?.Labels ?? {}
    if (this.#imageLabels.size >= MAX_IMAGES) this.#imageLabels.clear()
    this.#imageLabels.set(image, labels)
    return labels
  }

  async *#decoded(body: AsyncIterable<Uint8Array>): AsyncGenerator<DockerEvent> {
    try {
      for await (const value of jsonLines(body)) {
        const event = decodeEvent(value)
        if (event !== undefined) yield event
      }
    } catch (cause) {
      throw explainFailure(cause, this.endpoint)
    }
  }

  async #get(path: string, absent: readonly number[] = []): Promise<unknown> {
    const prefix = await this.#version()
    const { statusCode, body } = await this.#request(`${prefix}${path}`, {}, absent)
    const text = await this.#text(body)
    if (absent.includes(statusCode)) return undefined
    try {
      return JSON.parse(text)
    } catch (cause) {
      throw new DockerError('malformed', `the answer of ${this.endpoint.text} to ${path} is no JSON`, {
        cause,
      })
    }
  }

  /** Agreed once; asked again after a failure. */
  #version(): Promise<string> {
    this.#prefix ??= this.#negotiate().catch((error: unknown) => {
      this.#prefix = undefined
      throw error
    })
    return this.#prefix
  }

  async #negotiate(): Promise<string> {
    const { headers, body } = await this.#request('/_ping')
    await body.dump()
    const { text } = this.endpoint
    const offered = headers['api-version']
    if (typeof offered !== 'string' || !/^\d+\.\d+$/.test(offered)) {
      throw new DockerError(
        'not-docker',
        `what answers at ${text} is no Docker Engine: it names no API version`,
      )
    }
    if (isOlder(offered, MIN_API)) {
      const message = `the Docker Engine at ${text} speaks API ${offered}; ${MIN_API} is needed, which Docker 20.10 and newer have`
      throw new DockerError('too-old', message)
    }
    return `/v${isOlder(offered, MAX_API) ? offered : MAX_API}`
  }

  async #request(
    path: string,
    options: Partial<Dispatcher.RequestOptions> = {},
    accepted: readonly number[] = [],
  ): Promise<Dispatcher.ResponseData> {
    try {
      const response = await request(`${this.endpoint.origin}${path}`, {
        ...options,
        dispatcher: this.#dispatcher,
      })
      const { statusCode } = response
      if (statusCode === 200 || accepted.includes(statusCode)) return response
      const reason = reasonIn(await this.#text(response.body))
      const message = `the Docker Engine at ${this.endpoint.text} answered ${path} with ${statusCode}: ${reason}`
      throw new DockerError(path === '/_ping' ? 'not-docker' : 'refused', message)
    } catch (cause) {
      throw explainFailure(cause, this.endpoint)
    }
  }

  async #text(body: AsyncIterable<Uint8Array>): Promise<string> {
    const chunks: Uint8Array[] = []
    let length = 0
    try {
      for await (const chunk of body) {
        length += chunk.length
        if (length > MAX_ANSWER_BYTES)
          throw new DockerError(
            'malformed',
            `an answer of ${this.endpoint.text} has more than ${MAX_ANSWER_BYTES} bytes`,
          )
        chunks.push(chunk)
      }
    } catch (cause) {
      throw explainFailure(cause, this.endpoint)
    }
    return Buffer.concat(chunks).toString()
  }
}

/** Docker answers refusals with `{"message": …}`. */
function reasonIn(text: string): string {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && 'message' in value) return String(value.message)
  } catch {
    // A proxy's page, or nothing at all.
  }
  return text.trim().slice(0, 200) || 'no reason given'
}

function isOlder(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [thanMajor = 0, thanMinor = 0] = than.split('.').map(Number)
  return major < thanMajor || (major === thanMajor && minor < thanMinor)
}
