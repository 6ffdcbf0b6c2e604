// Stops when it is told to, or does not.

export default async (job, ctx) => {
  ctx.logger.info('ready', { before: ctx.cancelled })
  if (job.data === 'ignores') await new Promise(() => {})
  if (job.data === 'blocks') for (;;);
  await new Promise((done) => ctx.signal.addEventListener('abort', done))
  if (job.data === 'throws') ctx.signal.throwIfAborted()
  return { cancelled: ctx.cancelled, reason: ctx.signal.reason.name }
}
