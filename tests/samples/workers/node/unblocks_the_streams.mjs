// Prints while a subprocess has made the pipe that both of them print to non-blocking.

import { spawn } from 'node:child_process'

const SCRIPT = `
process.stdout.write('up\\n', () => process.send('up'))
process.on('message', () => {}) // stays: the pipe is as it was when it has ended
`

export default async () => {
  const stdio = ['ignore', 'inherit', 'inherit', 'ipc']
  const child = spawn(process.execPath, ['-e', SCRIPT], { stdio })
  await new Promise((done) => child.once('message', done))
  for (let n = 0; n < 3000; n += 1) console.log(`${n} ${'x'.repeat(300)}`)
  child.kill()
}
