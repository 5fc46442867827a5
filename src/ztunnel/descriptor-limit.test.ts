import { spawnSync } from 'node:child_process'
import t from 'tap'

t.test('the runtime raises the soft limit of descriptors to the hard one (wire/ztunnel 1.13)', async (t) => {
  const script = `process.stdout.write(require('node:fs').readFileSync('/proc/self/limits', 'utf8'))`
  const limits = (command: string): string[] => {
    const argv = ['-c', `${command}; exec "$0" --eval "$1"`, process.execPath, script]
    const { stdout } = spawnSync('sh', argv, { encoding: 'utf8' })
    return /^Max open files\s+(\d+)\s+(\d+)/m.exec(stdout)?.slice(1) ?? []
  }
  t.same(limits('ulimit -Sn 256; ulimit -Hn 2048'), ['2048', '2048'])
})
