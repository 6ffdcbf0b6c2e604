// Makes every call of the context there is, and returns the answers.

export default defineQueueWorker(async (job, ctx) => {
  for (const level of ['debug', 'info', 'warn', 'error']) ctx.logger[level](level, { n: 1 })
  ctx.logger.log('info', 'log', true)
  ctx.logger.log('verbose', 'unknown level')
  ctx.logger.child({ part: 'a' }).info('child', { level: 'x', message: 'y' })
  ctx.logger.info(new Error('an error').message, { bad: 1n })
  await ctx.state.set('k', { a: [1, null, 'é😀'] })
  await ctx.state.set('gone soon', 1, { ttl: 60 })
  await ctx.flow.emit('first', { a: 1 })
  await ctx.flow.emit('second', [1, 2])
  await ctx.emit('third')
  await ctx.emit({ type: 'emit', data: { name: 'fourth', b: 2 } })
  return {
    set: await ctx.state.get('k'),
    missing: await ctx.state.get('nothing'),
    incr: [await ctx.state.incr('n'), await ctx.state.incr('n', 4), await ctx.state.incr('n', -0.5)],
    deleted: [await ctx.state.delete('k'), await ctx.state.get('k')],
    started: await ctx.flow.startFlow('other', { x: 1 }),
    restarted: await ctx.flow.restartFlow('other', 'run7'),
    cancelled: await ctx.flow.cancelFlow('other', 'run7'),
    cancelledOwn: await ctx.flow.cancel(),
    running: [
      await ctx.flow.isRunning(),
      await ctx.flow.isRunning('other', 'run7'),
      await ctx.flow.isRunning('other', undefined, { excludeRunIds: [] }),
    ],
    runs: await ctx.flow.getRunningFlows('other', { excludeRunIds: ['run8'] }),
    stats: await ctx.flow.getFlowStats('other'),
    allStats: await ctx.flow.getAllFlowStats({ limit: 1, offset: 2 }),
    hasStats: await ctx.flow.hasFlowStats('other'),
  }
})
