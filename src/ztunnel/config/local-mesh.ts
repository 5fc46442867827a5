import type { LocalMeshSource } from '../../xds/index.ts'
import { configurationError, type FileSystemPort, invalid, type Values } from './values.ts'

/** LOCAL_XDS_PATH or LOCAL_XDS: a mesh out of a file, which is watched, or out of the variable itself. */
export function localMesh(values: Values, files: FileSystemPort): LocalMeshSource | undefined {
  const path = values.filled('LOCAL_XDS_PATH')
  const text = values.filled('LOCAL_XDS')
  if (path !== undefined && text !== undefined)
    throw configurationError('env vars LOCAL_XDS_PATH and LOCAL_XDS are both set (expected one of them)')
  if (text !== undefined) return { kind: 'inline', text }
  if (path === undefined) return undefined
  if (!files.exists(path)) throw invalid('LOCAL_XDS_PATH', path, 'the path of a YAML file that exists')
  return { kind: 'file', path }
}
