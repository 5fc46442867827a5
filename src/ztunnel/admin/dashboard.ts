/** The admin server's endpoints, in the order of the dashboard. */
const ENDPOINTS: readonly (readonly [path: string, description: string])[] = [
  [
    'config_dump',
    'the proxy’s whole state as JSON: configuration, certificates, workloads, services, policies, connections',
  ],
  ['connections', 'the connections that are open now, as JSON'],
  [
    'explain',
    'what would be done with a connection, and why, as JSON; ?source=namespace/pod&amp;destination=host:port',
  ],
  [
    'logging',
    'POST: show the log level; ?level=debug or ?level=access=debug to change it, ?reset to go back',
  ],
  ['quitquitquit', 'POST: shut down'],
  ['debug/pprof/profile', 'CPU profile as .cpuprofile JSON; ?seconds=10&frequency=100'],
  ['debug/pprof/heap', 'what holds memory, as .heapprofile JSON, once sampling is on'],
  ['debug/pprof/heap/profiling', 'whether allocations are sampled; ?activate=true or ?activate=false'],
]

/** The page at `/`. */
export function dashboard(): string {
  const rows = ENDPOINTS.map(
    ([path, description]) => `<tr><td><a href="/${path}">${path}</a></td><td>${description}</td></tr>`,
  )
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>ztunnel admin</title>
<style>body{font-family:sans-serif;margin:2em}td{padding:.3em 1em .3em 0}</style>
</head>
<body>
<h1>ztunnel</h1>
<table>
${rows.join('\n')}
</table>
</body>
</html>
`
}
