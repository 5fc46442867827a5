/** A port of a service and where it leads in one container. */
export interface ContainerServicePort {
  readonly port: number
  readonly targetPort: number
  /** As in a Kubernetes Service: `http`, `grpc`, `tcp` and others. Undefined: not said. */
  readonly appProtocol: string | undefined
}

/** `80:8080/http`, `9090/grpc`, `5432` */
const PORT = /^(\d{1,5})(?::(\d{1,5}))?(?:\/([a-z0-9][a-z0-9./-]*))?$/

/**
 * Reads the label `ztunnel.ports`: ports with commas between, each `SERVICE-PORT[:CONTAINER-PORT][/PROTOCOL]`. A text
 * that cannot be read is given back as what is wrong with it.
 */
export function parseServicePorts(text: string): readonly ContainerServicePort[] | string {
  const ports = new Map<number, ContainerServicePort>()
  for (const part of text.split(',').map((part) => part.trim())) {
    if (part === '') continue
    const [, first, second, appProtocol] = PORT.exec(part) ?? []
    const [port, targetPort] = [Number(first), Number(second ?? first)]
    if (!isPort(port) || !isPort(targetPort)) {
      return `"${part}" is no port; expected SERVICE-PORT[:CONTAINER-PORT][/PROTOCOL], as in "80:8080/http,9090/grpc"`
    }
    if (ports.has(port)) return `port ${port} is there twice`
    ports.set(port, { port, targetPort, appProtocol })
  }
  return [...ports.values()]
}

function isPort(value: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= 65_535
}
