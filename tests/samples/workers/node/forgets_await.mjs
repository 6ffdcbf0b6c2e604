// Makes calls that it does not wait for.

export default (job, ctx) => {
  const { payload } = job.data
  ctx.state.set('k', 1)
  ctx.flow.emit('told', { a: 1 })
  ctx.state.incr('text', 1).catch(() => {})
  if (payload === 'fails') ctx.state.set('k', 2, { unknown: true })
  if (payload === 'handled') ctx.state.set('k', 2, { unknown: true }).then(null, () => {})
  return 'answered'
}
