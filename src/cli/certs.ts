import { join } from 'node:path'
import { Command } from 'commander'
import { describeCa } from './certs-describe.ts'
import { issueCommand } from './certs-issue.ts'
import { rotateCommand } from './certs-rotate.ts'

interface InitOptions {
  readonly dir: string
  readonly trustDomain: string
}

/** `ztunnel certs`: the mesh's CA folder, and certificates from it. */
export function certsCommand(): Command {
  const certs = new Command('certs').description(
    'make, check and rotate the CA of a mesh, and issue certificates',
  )
  certs
    .command('init')
    .description('make the CA in a folder, or check the one that is there')
    .option('--dir <dir>', "the folder, in the layout of Istio's cacerts", 'certs')
    .option('--trust-domain <domain>', 'names the organization in a new CA', 'cluster.local')
    .action(async ({ dir, trustDomain }: InitOptions) => {
      // When it is needed: every command starts from one program, and pays only for its own role.
      const { openCa, TokenIssuer } = await import('../identity/index.ts')
      const { material, created } = await openCa(dir, { trustDomain })
      await TokenIssuer.loadOrCreate(join(dir, 'token-key.pem'))
      process.stdout.write(
        describeCa(created ? `made a new CA in ${dir}` : `the CA in ${dir} is usable`, material),
      )
    })
  return certs.addCommand(rotateCommand()).addCommand(issueCommand())
}
