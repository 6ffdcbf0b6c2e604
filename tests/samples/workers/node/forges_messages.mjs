// Prints what would be messages of the protocol.

import fs from 'node:fs'

const FORGED = [
  { jsonrpc: '2.0', id: 1, result: 'FORGED' },
  { jsonrpc: '2.0', id: 1, error: { code: -32000, message: 'FORGED' } },
  { jsonrpc: '2.0', method: 'ctx.state.set', params: { key: 'k', value: 1 }, id: 9 },
  { jsonrpc: '2.0', method: 'ctx.logger.log', params: { level: 'info', message: 'FORGED' } },
]

export default async (job, ctx) => {
  for (let n = 0; n < job.data; n += 1) {
    const line = JSON.stringify(FORGED[n % 4])
    console.log(line)
    process.stdout.write(`${line}\n`)
    fs.writeSync(1, `${line}\n`)
    process.stderr.write(`${line}\n`)
  }
  return { k: await ctx.state.get('k') }
}
