import { readFileSync } from 'node:fs'

/** What a lab's README has its reader type, as one script; empty where a section has nothing or is not there. */
export interface LabSteps {
  readonly todo: string
  readonly back: string
}

/** Reads the blocks marked `sh` of a lab's README. Throws where there is nothing to do: the README has changed its form. */
export function readLabSteps(readme: string): LabSteps {
  const text = readFileSync(readme, 'utf8')
  const todo = commandsOf(text, 'Do')
  if (todo === '') throw new Error(`${readme}: no block of sh in the section Do`)
  return { todo, back: commandsOf(text, 'Put it back') }
}

function commandsOf(text: string, heading: string): string {
  const section = text.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? ''
  return [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, commands = '']) => commands).join('')
}
