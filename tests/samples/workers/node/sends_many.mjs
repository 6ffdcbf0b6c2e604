// Calls and logs in a row, and all at once.

export default async (job, ctx) => {
  const { lines = 0, calls = 0 } = job.data
  for (let n = 0; n < lines; n += 1) ctx.logger.info(`line ${n}`)
  const keys = Array.from({ length: calls }, (_, n) => `k${n}`)
  await Promise.all(keys.map((key, n) => ctx.state.set(key, n)))
  const values = await Promise.all(keys.map((key) => ctx.state.get(key)))
  return values.every((value, n) => value === n)
}
