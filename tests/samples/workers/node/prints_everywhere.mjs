// Writes to stdout in every way there is, at every time there is.

import { execFileSync, execSync, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { Worker } from 'node:worker_threads'

console.log('at import')
process.on('exit', () => console.log('at exit'))

export default async () => {
  console.log('console.log', 1, { a: 1 })
  console.info('console.info')
  console.debug('console.debug')
  console.table([{ a: 1 }])
  console.warn('console.warn')
  console.error('console.error')
  process.stdout.write('no newline')
  process.stdout.write('\n')
  await new Promise((done) => process.stdout.write('with a callback\n', done))
  process.stderr.write('process.stderr\n')
  fs.writeSync(1, 'fs.writeSync\n')
  fs.writeFileSync('/dev/stdout', '/dev/stdout\n')
  execSync('echo a shell', { stdio: 'inherit' })
  spawnSync('echo', ['a subprocess'], { stdio: 'inherit' })
  execFileSync(process.execPath, ['-e', 'console.log("another node")'], { stdio: 'inherit' })
  const thread = new Worker('console.log("a thread")', { eval: true })
  await new Promise((done) => thread.on('exit', done))
  process.stdout.write(Buffer.from([0x62, 0xff, 0xfe, 0x0a]))
  console.log('é😀')
  return 'answered'
}
