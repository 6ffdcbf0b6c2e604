// Starts a process that leaves the group, listens to no signal, and is never idle again.

import { spawn } from 'node:child_process'

export default (job, ctx) => {
  spawn('sleep', ['60'], { detached: true, stdio: 'ignore' }).unref()
  process.on('SIGTERM', () => {})
  ctx.logger.info('working')
  for (;;);
}
