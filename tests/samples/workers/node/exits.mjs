// Ends its process itself: before its answer, or right behind it.

export default async (job) => {
  const { when, code, size = 0, lines = 0 } = job.data
  for (let n = 0; n < lines; n += 1) console.log(`${n} ${'x'.repeat(1000)}`)
  const exit = () => process.exit(code)
  if (when === 'now') exit()
  if (when === 'before') setImmediate(exit), await new Promise(() => {})
  if (when === 'killed') process.kill(process.pid, 'SIGKILL'), await new Promise(() => {})
  if (when === 'next tick') process.nextTick(exit)
  if (when === 'next turn') setImmediate(exit)
  return 'x'.repeat(size)
}
