/**
 * Runs one worker file: `node bootstrap.mjs [--reuse] worker.ts`, started by the runner.
 *
 * The worker's project needs nothing installed: this folder brings what a worker uses along.
 */

import { Channel, printAtOnce } from './channel.mjs'
import { recordConsole } from './console.mjs'
import { defineGlobals } from './load.mjs'
import { ENV_CHILD, ENV_FRAMING, ENV_MAX_MESSAGE, ENV_WIRE_FDS } from './methods.mjs'
import { Worker } from './worker.mjs'

const args = process.argv.slice(2)
const reused = args[0] === '--reuse'
const path = args.at(-1)
const wire = process.env[ENV_WIRE_FDS]

if (!wire) {
  const shown = path ?? 'worker.ts'
  process.stderr.write(`a worker is started by its runner; try it with:  nq run ${shown}\n`)
  process.exit(2)
}
const longest = Number(process.env[ENV_MAX_MESSAGE] || Infinity)
// The worker's own subprocesses are ordinary processes.
for (const name of [ENV_CHILD, ENV_FRAMING, ENV_MAX_MESSAGE, ENV_WIRE_FDS]) {
  delete process.env[name]
}
process.argv.splice(1, args.length + 1, path)
Error.stackTraceLimit = 50 // frames of ours are dropped from what is reported

printAtOnce()
const channel = new Channel(...wire.split(',').map(Number), longest)
defineGlobals()
const worker = new Worker(channel, path, { reused })
recordConsole((line) => worker.record(line))
worker.start()
