// Asks for the state `go` and returns it: a job in flight for as long as a test wants.

export default async (job, ctx) => ({ go: await ctx.state.get('go'), data: job.data })
