// A handler for Node that helps `nq conformance`, as docs/protocol.md describes it.

export default defineQueueWorker(async ({ data }, ctx) => {
  switch (data?.do) {
    case 'echo':
      return data.value
    case 'state':
      await ctx.state.set(data.key, data.value)
      return await ctx.state.get(data.key)
    case 'log':
      for (let n = 0; n < data.times; n += 1) ctx.logger.log(data.level, data.message, data.metadata)
      return null
    case 'emit':
      await ctx.flow.emit(data.trigger, data.payload)
      return null
    case 'fail':
      throw new Error(data.message)
    case 'print':
      process.stdout.write(data.text)
      return null
  }
})
