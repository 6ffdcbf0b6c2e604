// Goes on calling when its job has its answer.

export default (job, ctx) => {
  setTimeout(async () => {
    ctx.logger.info('late line')
    await ctx.state.set('late', 1).catch((error) => console.log(`${error.name}: ${error.message}`))
    process.exit(0)
  }, 20)
  return 'answered'
}
