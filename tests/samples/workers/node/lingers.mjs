// Answers, and something of it goes on.

import net from 'node:net'

const WAYS = {
  timer: () => setInterval(() => {}, 1000),
  server: () => net.createServer().listen(0),
  'at exit': () => process.on('exit', () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60000)),
  'busy later': () => setImmediate(() => { for (;;); }),
}

export default (job) => {
  WAYS[job.data]()
  return 'answered'
}
