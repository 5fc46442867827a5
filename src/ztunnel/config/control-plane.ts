import type { RootSource } from '../../identity/index.ts'
import type { Config, ControlPlaneConfig, TokenSource } from './model.ts'
import { jsonMetadata, type ProxyConfig } from './proxy-config.ts'
import { configurationError, type FileSystemPort, invalid, type Values } from './values.ts'

const DEFAULT_ROOT_PATH = './var/run/secrets/istio/root-cert.pem'
const DEFAULT_TOKEN_PATH = './var/run/secrets/tokens/istio-token'
const IN_CLUSTER_ISTIOD = 'https://istiod.istio-system.svc:15012'
const LOCAL_ISTIOD = 'https://localhost:15012'

/** XDS_ADDRESS, CA_ADDRESS, their roots, names and headers, and AUTH_TOKEN (wire/ztunnel 2.4, 9.5, 9.13). */
export function loadControlPlane(
  values: Values,
  files: FileSystemPort,
  proxyConfig: ProxyConfig,
): Pick<Config, 'xds' | 'ca' | 'authToken'> {
  const istiod = values.optional('KUBERNETES_SERVICE_HOST') === undefined ? LOCAL_ISTIOD : IN_CLUSTER_ISTIOD
  const xdsAddress = values.optional('XDS_ADDRESS') ?? proxyConfig.discoveryAddress ?? istiod
  return {
    xds: xdsAddress === '' ? undefined : server(values, files, 'XDS', xdsAddress),
    ca: server(values, files, 'CA', caAddress(values, istiod)),
    authToken: token(values, files),
  }
}

/** The node that the xDS server sees (wire/ztunnel 10.2). */
export function xdsNode(values: Values, proxyConfig: ProxyConfig): Config['xdsNode'] {
  const ip = values.text('INSTANCE_IP', '1.1.1.1')
  const pod = values.text('POD_NAME', '')
  const namespace = values.text('POD_NAMESPACE', '')
  return {
    id: `ztunnel~${ip}~${pod}.${namespace}~${namespace}.svc.cluster.local`,
    metadata: {
      NAME: pod,
      NAMESPACE: namespace,
      INSTANCE_IPS: ip,
      NODE_NAME: values.text('NODE_NAME', ''),
      ...proxyConfig.metadata,
      ...jsonMetadata(values),
    },
  }
}

function caAddress(values: Values, istiod: string): string {
  const address = values.text('CA_ADDRESS', istiod)
  if (address !== '') return address
  throw invalid('CA_ADDRESS', '', 'the address of a CA: without one no workload has an identity')
}

function server(
  values: Values,
  files: FileSystemPort,
  kind: 'XDS' | 'CA',
  address: string,
): ControlPlaneConfig {
  return {
    address: httpsAddress(`${kind}_ADDRESS`, address),
    roots: roots(values, files, `${kind}_ROOT_CA`),
    alternativeHostname: values.filled(`ALT_${kind}_HOSTNAME`),
    headers: headers(values, `${kind}_HEADER_`),
  }
}

function httpsAddress(name: string, text: string): string {
  const expected = 'https://host:port; nothing else than https is spoken to the control plane'
  const url = URL.parse(text.includes('://') ? text : `https://${text}`)
  const plain =
    url !== null && url.username === '' && url.password === '' && url.search === '' && url.hash === ''
  if (url?.protocol !== 'https:' || !plain || url.pathname !== '/') throw invalid(name, text, expected)
  return `https://${url.hostname}:${url.port === '' ? '443' : url.port}`
}

/** A path that does not exist is an error, not PEM text: Istio's ztunnel takes it for an empty set of roots. */
function roots(values: Values, files: FileSystemPort, name: string): RootSource {
  const value = values.filled(name)
  if (value === undefined) return defaultRoots(files, name)
  if (value === 'SYSTEM') return { systemRoots: true }
  if (value.includes('-----BEGIN CERTIFICATE-----')) return { rootCertPem: value }
  if (files.exists(value)) return { rootCertFile: value }
  throw invalid(name, value, 'the path of a PEM file that exists, SYSTEM, or PEM text')
}

function defaultRoots(files: FileSystemPort, name: string): RootSource {
  if (files.exists(DEFAULT_ROOT_PATH)) return { rootCertFile: DEFAULT_ROOT_PATH }
  throw configurationError(
    `no root certificate for the control plane: ${DEFAULT_ROOT_PATH} does not exist and env var ${name} is not set ` +
      '(expected the path of a PEM file, SYSTEM, or PEM text)',
  )
}

function token(values: Values, files: FileSystemPort): TokenSource | undefined {
  const value = values.filled('AUTH_TOKEN')
  if (value === undefined) {
    return files.exists(DEFAULT_TOKEN_PATH) ? { kind: 'file', path: DEFAULT_TOKEN_PATH } : undefined
  }
  if (files.exists(value)) return { kind: 'file', path: value }
  // Not named in the error when it may be a secret.
  if (/^[./]/.test(value)) throw invalid('AUTH_TOKEN', value, 'the path of a file that exists, or a token')
  if (HEADER_VALUE.test(value)) return { kind: 'literal', token: value }
  throw invalid('AUTH_TOKEN', '(not shown)', 'a token of printable ASCII without spaces')
}

function headers(values: Values, prefix: string): Readonly<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const [suffix, value] of values.prefixed(prefix)) {
    const name = suffix.toLowerCase()
    if (!HEADER_NAME.test(name))
      throw invalid(`${prefix}${suffix}`, '(not shown)', 'a suffix that is a header name')
    if (!HEADER_TEXT.test(value)) throw invalid(`${prefix}${suffix}`, '(not shown)', 'printable ASCII')
    found[name] = value
  }
  return found
}

/** gRPC metadata names: lower case, digits, and three signs. */
const HEADER_NAME = /^[a-z0-9_.-]+$/
const HEADER_VALUE = /^[\x21-\x7e]+$/
const HEADER_TEXT = /^[\x20-\x7e]*$/
