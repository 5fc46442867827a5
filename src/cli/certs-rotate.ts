import { Command } from 'commander'
import type { CaMaterial } from '../identity/index.ts'
import { describeCa } from './certs-describe.ts'

interface Step {
  readonly name: string
  readonly description: string
  readonly run: (dir: string) => Promise<CaMaterial>
  /** What was done. */
  readonly done: string
  /** What to do now. */
  readonly next: string
}

/** `ztunnel certs rotate`: a new intermediate in one step, a new root in three. */
export function rotateCommand(): Command {
  const rotate = new Command('rotate').description("replace the CA's intermediate or root without an outage")
  for (const step of STEPS) {
    rotate
      .command(step.name)
      .description(step.description)
      .option('--dir <dir>', "the CA's folder, in the layout of Istio's cacerts", 'certs')
      .action(async ({ dir }: { readonly dir: string }) => {
        const material = await step.run(dir)
        process.stdout.write(`${describeCa(`${step.done} in ${dir}`, material)}${step.next}\n`)
      })
  }
  return rotate
}

const WAIT =
  'Next, when olderCertificatesUntil is gone from ca in the /status of the config server (every certificate has been renewed)'

const STEPS: readonly Step[] = [
  {
    name: 'intermediate',
    description: 'a new intermediate below the same root (needs root-key.pem)',
    run: async (dir) => (await import('../identity/index.ts')).rotateIntermediate(dir),
    done: 'a new intermediate signs',
    next: 'Nothing else is to be done: a running config server reads it within two seconds.',
  },
  {
    name: 'add-root',
    description: 'first step to a new root: make it (in next/), and have peers trust it beside the old one',
    run: async (dir) => (await import('../identity/index.ts')).addRoot(dir),
    done: 'peers will trust the root of next/ too',
    next: `${WAIT}: ztunnel certs rotate use-root`,
  },
  {
    name: 'use-root',
    description: 'second step: sign with the CA in next/',
    run: async (dir) => (await import('../identity/index.ts')).useRoot(dir),
    done: 'the new CA signs',
    next: `${WAIT}: ztunnel certs rotate drop-root`,
  },
  {
    name: 'drop-root',
    description: 'third step: no longer trust the old root',
    run: async (dir) => (await import('../identity/index.ts')).dropRoots(dir),
    done: 'only the root that the CA signs under is trusted',
    next: 'The rotation is complete.',
  },
]
