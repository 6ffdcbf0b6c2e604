/**
 * What a handler can do: the context, with its state, logger and flow.
 *
 * A call is on its way as soon as it is made; awaiting it only fetches the answer.
 */

import { PeerClosedError, ValuePathError } from './errors.mjs'
import * as methods from './methods.mjs'

// The host routes by these keys of a payload; a payload must not redirect an event.
const ROUTING_KEYS = ['flowId', 'flowName', 'stepName']

/** Values that the steps of one flow run share, by key. */
class State {
  #calls

  constructor(calls) {
    this.#calls = calls
    bindMethods(this)
  }

  /** Return the value of `key`, or null when there is none. */
  get(key) {
    return this.#call(methods.STATE_GET, { key }, `ctx.state.get(${shown(key)})`)
  }

  /** Store `value` under `key`; `{ ttl }` is the number of seconds after which it is gone. */
  set(key, value, opts) {
    const label = `ctx.state.set(${shown(key)})`
    const params = { key, value: this.#calls.plain(value, `state[${shown(key)}]`) }
    if (opts != null) params.opts = this.#calls.plain(opts, `the options of ${label}`)
    return this.#call(methods.STATE_SET, params, label)
  }

  /** Remove `key`; removing what is not there is fine. */
  delete(key) {
    return this.#call(methods.STATE_DELETE, { key }, `ctx.state.delete(${shown(key)})`)
  }

  /** Add to a number, atomically among all jobs of the flow run, and return the new value. */
  incr(key, by = 1) {
    const params = { key, by: this.#calls.plain(by, 'by') }
    return this.#call(methods.STATE_INCR, params, `ctx.state.incr(${shown(key)})`)
  }

  #call(method, params, label) {
    if (typeof params.key !== 'string') {
      throw new TypeError(`a state key is a string, not ${shown(params.key)}`)
    }
    return this.#calls.make(method, { ...params, key: this.#calls.plain(params.key, 'key') }, label)
  }
}

/** Log lines of one job; written in order, and never in the way. */
class Logger {
  #calls
  #bound

  constructor(calls, bound = {}) {
    this.#calls = calls
    this.#bound = bound
    bindMethods(this)
  }

  /** Write a line; `level` is debug, info, warn or error, anything else counts as info. */
  log(level, message, metadata) {
    const known = methods.LOG_LEVELS.includes(level) ? level : 'info'
    const params = { level: known, message: words(message), metadata: this.#plain(metadata) }
    try {
      this.#calls.log(params)
    } catch (error) {
      if (error instanceof ValuePathError) {
        const short = { metadataError: error.message }
        this.#calls.log({ level: known, message: `${params.message.slice(0, 200)}…`, metadata: short })
      } else if (!(error instanceof PeerClosedError)) throw error
      // Otherwise the host is gone, and so is the job: nobody waits for a log line any more.
    }
  }

  debug(message, metadata) {
    this.log('debug', message, metadata)
  }

  info(message, metadata) {
    this.log('info', message, metadata)
  }

  warn(message, metadata) {
    this.log('warn', message, metadata)
  }

  error(message, metadata) {
    this.log('error', message, metadata)
  }

  /** Return a logger that adds `metadata` to each of its lines. */
  child(metadata) {
    return new Logger(this.#calls, { ...this.#bound, ...metadata })
  }

  /** What JSON cannot hold is named in the line instead: a log line does not fail a job. */
  #plain(metadata) {
    const isRecord = typeof metadata === 'object' && metadata !== null && !Array.isArray(metadata)
    const given = metadata instanceof Error ? { error: metadata.stack } : metadata
    const record = metadata === undefined ? {} : isRecord ? given : { value: metadata }
    let plain
    try {
      plain = this.#calls.plain({ ...this.#bound, ...record }, 'metadata')
    } catch (error) {
      if (!(error instanceof ValuePathError)) throw error
      plain = { metadataError: error.message }
    }
    // The host merges metadata into the record: these two would overwrite its own.
    for (const key of ['level', 'message']) {
      if (key in plain) {
        plain[`${key}_`] = plain[key]
        delete plain[key]
      }
    }
    return plain
  }
}

/** The flow that this job is a step of, and the other flows of the host. */
class Flow {
  #calls

  constructor(calls) {
    this.#calls = calls
    bindMethods(this)
  }

  /** Emit an event; the steps that subscribe to it start when this step has completed. */
  emit(trigger, payload = {}) {
    if (typeof trigger !== 'string' || trigger === '') {
      throw new TypeError(`an event's name is a string that is not empty, not ${shown(trigger)}`)
    }
    let plain = this.#calls.plain(payload ?? {}, 'payload')
    if (typeof plain !== 'object' || Array.isArray(plain)) plain = { value: plain }
    const routing = ROUTING_KEYS.find((key) => key in plain)
    if (routing) {
      throw new TypeError(
        `the payload of ${shown(trigger)} must not hold ${shown(routing)}: it routes events`,
      )
    }
    const label = `ctx.flow.emit(${shown(trigger)})`
    return this.#calls.make(methods.FLOW_EMIT, { trigger, payload: plain }, label)
  }

  /** Start another flow; returns `{ id, queue, step, flowId }`. */
  startFlow(flowName, payload = {}) {
    return this.#call(methods.FLOW_START, { flowName, payload })
  }

  /** Cancel one run of a flow. */
  cancelFlow(flowName, runId) {
    return this.#call(methods.FLOW_CANCEL, { flowName, runId })
  }

  /** Cancel the run that this job belongs to. */
  cancel() {
    return this.#call(methods.FLOW_CANCEL_OWN, {})
  }

  /** Start a flow again with the input of an earlier run. */
  restartFlow(flowName, runId) {
    return this.#call(methods.FLOW_RESTART, { flowName, runId })
  }

  /** Tell whether another run of a flow is under way; this run itself does not count. */
  isRunning(flowName, runId, options) {
    return this.#call(methods.FLOW_IS_RUNNING, { flowName, runId, ...options })
  }

  /** List the runs under way: `{ id, flowName, status, startedAt, ... }` each. */
  getRunningFlows(flowName, options) {
    return this.#call(methods.FLOW_RUNNING, { flowName, ...options })
  }

  /** Return how often a flow ran and how it ended. */
  getFlowStats(flowName) {
    return this.#call(methods.FLOW_STATS, { flowName })
  }

  /** Return the statistics of all flows; options as the host has them (`limit`, `offset`). */
  getAllFlowStats(options) {
    return this.#call(methods.FLOW_ALL_STATS, { ...options })
  }

  /** Tell whether there are statistics of a flow. */
  hasFlowStats(flowName) {
    return this.#call(methods.FLOW_HAS_STATS, { flowName })
  }

  #call(method, params) {
    const given = Object.entries(params).filter(([, value]) => value != null)
    const plain = this.#calls.plain(Object.fromEntries(given), `the arguments of ${method}`)
    return this.#calls.make(method, plain, `${method}()`)
  }
}

/** What a handler gets beside its job. */
export class RunContext {
  #cancelling = new AbortController()

  constructor(calls, fields) {
    for (const name of methods.CONTEXT_FIELDS) this[name] = fields[name] ?? null
    this.extra = Object.fromEntries(
      Object.entries(fields).filter(([name]) => !methods.CONTEXT_FIELDS.includes(name)),
    )
    this.state = new State(calls)
    this.logger = new Logger(calls)
    this.flow = new Flow(calls)
    bindMethods(this)
  }

  /** Aborted when the host asks the job to stop. */
  get signal() {
    return this.#cancelling.signal
  }

  /** Whether the host has asked the job to stop. */
  get cancelled() {
    return this.signal.aborted
  }

  /** Emit an event: a name and a payload, or `{ type: 'emit', data: { name, ... } }`. */
  emit(event, payload) {
    if (typeof event === 'string') return this.flow.emit(event, payload)
    if (typeof event?.data?.name !== 'string') {
      throw new TypeError(
        "an event is a name and a payload, or { type: 'emit', data: { name: 'trained', … } }",
      )
    }
    const { name, ...rest } = event.data
    return this.flow.emit(name, rest)
  }

  /** Tell the handler that the host asks it to stop. */
  static cancel(context) {
    context.#cancelling.abort(new DOMException('the job was cancelled', 'AbortError'))
  }
}

/** Let `const { info } = ctx.logger` work, as it does where a context is made of closures. */
function bindMethods(object) {
  const members = Object.getOwnPropertyDescriptors(Object.getPrototypeOf(object))
  for (const [name, { value }] of Object.entries(members)) {
    if (name !== 'constructor' && typeof value === 'function') {
      Object.defineProperty(object, name, { value: value.bind(object) })
    }
  }
}

function words(message) {
  const text = message instanceof Error ? (message.stack ?? String(message)) : asText(message)
  return text.toWellFormed()
}

function asText(value) {
  try {
    return typeof value === 'symbol' ? value.toString() : String(value)
  } catch {
    return '<its toString throws>'
  }
}

function shown(value) {
  return typeof value === 'string' ? JSON.stringify(value) : typeof value
}
