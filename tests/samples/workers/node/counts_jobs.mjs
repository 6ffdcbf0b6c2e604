// Remembers the jobs that its process has run.

let count = 0

export default defineQueueWorker(async (job, ctx) => {
  const { meet = 0, how = 'returns' } = job.data ?? {}
  count += 1
  console.log(`job ${count}`)
  if (meet > 0) await ctx.state.incr('here')
  while (meet > 0 && (await ctx.state.get('here')) < meet) await new Promise((done) => setTimeout(done, 5))
  if (how === 'throws') throw new Error('as told')
  if (how === 'exits') process.exit(0)
  if (how === 'dies') process.kill(process.pid, 'SIGKILL')
  if (how === 'hangs') await new Promise(() => {})
  if (how === 'blocks later') setImmediate(() => { for (;;); })
  if (how === 'prints later') setTimeout(() => console.log('late'), 50)
  return { count, pid: process.pid }
})
