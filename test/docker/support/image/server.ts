// Answers every request with the host's name; in the base image, as an application that knows nothing of a mesh.
import { createServer } from 'node:http'
import { hostname } from 'node:os'

createServer((_, response) => response.end(hostname())).listen(Number(process.argv[2] ?? 8080), '::')
