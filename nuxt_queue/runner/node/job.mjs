/**
 * The job as a handler sees it.
 */

const MARKS = ['id', 'name', 'opts', 'attemptsMade']

/**
 * Make the job: `{ id, name, data, attemptsMade, opts }`, with the payload in `data`.
 *
 * What the job itself does not have is looked up in `data`, so that code written for a host that
 * passes the bare payload works too.
 *
 * @param {unknown} given What the host sent: an envelope, or the bare payload.
 * @param {object} fields The wire's context, which names a job that came without an envelope.
 */
export function jobOf(given, fields) {
  const isEnvelope =
    isRecord(given) &&
    'data' in given &&
    (Object.keys(given).length === 1 || MARKS.some((mark) => mark in given))
  const job = {
    id: fields.jobId ?? null,
    name: fields.stepName ?? null,
    data: given ?? null,
    attemptsMade: Math.max((fields.attempt ?? 1) - 1, 0),
    opts: {},
    ...(isEnvelope ? given : {}),
  }
  return isRecord(job.data) ? Object.setPrototypeOf(job, job.data) : job
}

function isRecord(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
