// Returns what it is given.

export default defineQueueWorker((job) => job.data)
