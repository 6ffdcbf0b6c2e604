// Types, an enum and a namespace import: what only a translator understands.

import * as path from 'node:path'

enum Kind {
  Small = 'small',
  Large = 'large',
}

interface Payload {
  size: number
}

export const config = defineQueueConfig({
  queue: 'sizes',
  flow: { name: ['f'], role: 'step', step: 'train', subscribes: ['measured'] },
})

export default defineQueueWorker(async (job: { id: string; data: Payload }, ctx: any) => {
  const { state, logger, flow, signal, cancelled, emit, ...fields } = ctx
  return {
    kind: job.data.size > 10 ? Kind.Large : Kind.Small,
    job,
    fields,
    file: path.basename(process.argv[1]),
    cwd: process.cwd(),
    marks: Object.keys(process.env).filter((name) => /^(NQ_(WIRE|RPC)|NUXT_QUEUE)/.test(name)),
  }
})
