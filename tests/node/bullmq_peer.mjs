// The other side of a queue: BullMQ's own library for Node, as a producer or as a worker.
//
//   node bullmq_peer.mjs produce|work|schedule|workers PORT PREFIX QUEUE COUNT
//
// Job n fails when n is a multiple of 10, and has two attempts; of a multiple of 5 one log line is
// kept.  What became of the jobs is printed as one line of JSON.
import { Queue, Worker } from 'bullmq'

const [mode, port, prefix, name, count] = process.argv.slice(2)
const options = { prefix, connection: { host: '127.0.0.1', port: Number(port), maxRetriesPerRequest: null } }
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

async function produce(queue) {
  const jobs = await queue.addBulk(
    Array.from({ length: Number(count) }, (_, n) => ({
      name: 'a',
      data: { n, text: 'ü\u2028' },
      opts: { attempts: 2, priority: n % 3, delay: n % 7 === 0 ? 50 : 0, backoff: { type: 'fixed', delay: 5 }, ...(n % 5 === 0 && { keepLogs: 1 }) },
    })),
  )
  const told = []
  for (const { id } of jobs) {
    let job = await queue.getJob(id)
    while (!['completed', 'failed'].includes(await job.getState())) {
      await pause(10)
      job = await queue.getJob(id)
    }
    job = await queue.getJob(id)
    told.push({
      n: job.data.n,
      state: await job.getState(),
      returnvalue: job.returnvalue,
      failedReason: job.failedReason,
      attemptsMade: job.attemptsMade,
      stacktrace: job.stacktrace.length,
      logs: (await queue.getJobLogs(id)).logs,
      early: job.processedOn < job.timestamp + (job.opts.delay ?? 0),
    })
  }
  return told
}

async function work() {
  const order = []
  let ended = 0
  let finish
  const finished = new Promise((resolve) => (finish = resolve))
  const worker = new Worker(
    name,
    async (job) => {
      order.push(job.data.n)
      await job.updateProgress({ done: job.data.n })
      await job.log(`Node has job ${job.data.n}`)
      if (job.data.n % 10 === 0) throw new Error(`bad ${job.data.n}`)
      return { n: job.data.n, text: job.data.text }
    },
    options,
  )
  const count_one = () => ++ended === Number(count) && finish()
  worker.on('completed', count_one)
  worker.on('failed', (job) => job.attemptsMade >= job.opts.attempts && count_one())
  await finished
  await worker.close()
  return order
}

async function schedule(queue) {
  await queue.upsertJobScheduler('tick', { every: 100, limit: Number(count) }, { name: 'a', data: { n: 1 } })
  return []
}

// Which workers BullMQ's dashboards would show.
async function workers(queue) {
  return (await queue.getWorkers()).map(({ name, rawname }) => ({ name, rawname }))
}

const queue = new Queue(name, options)
const told = mode === 'work' ? await work() : await { produce, schedule, workers }[mode](queue)
await queue.close()
console.log(JSON.stringify(told))
