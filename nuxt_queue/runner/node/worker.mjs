/**
 * A process's conversation with its host: receive `execute`, run the handler, drain, answer.
 */

import { AsyncLocalStorage } from 'node:async_hooks'

import { Calls } from './calls.mjs'
import { RunContext } from './context.mjs'
import {
  BUSY,
  CallFailedError,
  INVALID_PARAMS,
  METHOD_NOT_FOUND,
  PeerClosedError,
  RpcError,
  ValuePathError,
} from './errors.mjs'
import { toRpcError } from './failures.mjs'
import { jobOf } from './job.mjs'
import { load } from './load.mjs'
import * as methods from './methods.mjs'
import { Peer } from './peer.mjs'
import { toJson } from './values.mjs'

const owners = new AsyncLocalStorage() // which job code is running for, also long afterwards

/** Serves one worker file: one job, or, when reused, one job after another. */
export class Worker {
  #channel
  #path
  #reused
  #peer
  #handler
  #failedToLoad = false
  #loaded = false
  #job = null // the one under way
  #taken = false // whether there has been one
  #isSpoilt = false // by what a job has left behind

  constructor(channel, path, { reused }) {
    this.#channel = channel
    this.#path = path
    this.#reused = reused
    this.#peer = new Peer(
      (text, what = 'result') => channel.write(text, what),
      (method, params, reply) => this.#serve(method, params, reply),
    )
  }

  /** Import the file and serve until the host hangs up. */
  start() {
    this.#channel.listen(
      (line) => this.#receive(line),
      () => this.#onEnd(),
    )
    process.on('uncaughtException', (error) => this.#crash(error))
    this.#handler = load(this.#path)
    this.#handler.then(
      () => (this.#loaded = true),
      () => (this.#failedToLoad = true),
    )
  }

  /** Send a log line of the job under way, or of the import before the first; false between jobs. */
  record(line) {
    if (!this.#job && this.#taken) return false
    try {
      if (this.#job) this.#job.calls.log(line)
      else this.#peer.notify(methods.LOG, line)
    } catch (error) {
      if (!(error instanceof PeerClosedError)) throw error
      return false
    }
    return true
  }

  #receive(line) {
    try {
      this.#peer.receive(line)
    } catch (error) {
      if (!(error instanceof PeerClosedError)) throw error // an answer that nobody reads any more
    }
  }

  #serve(method, params, reply) {
    switch (method) {
      case methods.EXECUTE:
        return this.#execute(params, reply)
      case methods.CANCEL:
        return this.#job && RunContext.cancel(this.#job.ctx)
      case methods.SHUTDOWN:
        reply.result(null)
        return this.#onEnd()
      case methods.NEXT:
        return this.#next(reply)
      default:
        throw new RpcError(`a worker has no method '${method.slice(0, 80)}'; it has 'execute'`, {
          code: METHOD_NOT_FOUND,
        })
    }
  }

  #execute(params, reply) {
    if (this.#job || (this.#taken && !this.#reused)) {
      throw new RpcError('this worker has its job already; start a process per job', { code: BUSY })
    }
    const fields = params.context ?? {}
    if (Array.isArray(params) || typeof fields !== 'object' || Array.isArray(fields)) {
      throw new RpcError('execute takes {job, context}, and context is an object', {
        code: INVALID_PARAMS,
      })
    }
    const calls = new Calls(this.#peer)
    this.#taken = true
    const confirmsStart = params[methods.CONFIRM_START] === true
    this.#job = { calls, reply, fields, confirmsStart, ctx: new RunContext(calls, fields) }
    void this.#run(this.#job, jobOf(params.job, fields))
  }

  async #run(job, data) {
    let phase = 'import'
    try {
      const handler = await this.#handler
      phase = 'run'
      await this.#sayStarted(job)
      const result = await owners.run(job, () => handler(data, job.ctx))
      const plain = toJson(result ?? null, 'result')
      // Without a wait when there is nothing to wait for: the worker may be about to exit.
      if (!job.calls.settled) await job.calls.drain()
      const overlooked = job.calls.overlooked
      if (overlooked) {
        const { call, error } = overlooked
        throw new CallFailedError(`${call.label} was not awaited and failed: ${error.message}`)
      }
      this.#answer(job, (reply) => reply.result(plain))
    } catch (error) {
      await job.calls.drain()
      this.#fail(job, error, phase)
    }
  }

  /** Tell the host; ask it where it wants to be asked: the run may have been cancelled. */
  async #sayStarted(job) {
    if (job.confirmsStart) await this.#peer.call(methods.STARTED, {})
    else this.#peer.notify(methods.STARTED, {})
  }

  #fail(job, error, phase) {
    this.#answer(job, (reply) => reply.error(toRpcError(error, phase, this.#path)))
  }

  #answer(job, say) {
    if (this.#job !== job) return // answered when something else of it failed
    this.#job = null
    job.calls.close()
    try {
      say(job.reply)
    } catch (error) {
      if (error instanceof ValuePathError) job.reply.error(brief(error))
      else if (!(error instanceof PeerClosedError)) throw error
    }
    if (!this.#reused) this.#channel.letGo()
  }

  /** Say whether another job may come; the answer also proves that nothing blocks this process. */
  #next(reply) {
    if (this.#job || !this.#reused || this.#failedToLoad || this.#isSpoilt) {
      throw new RpcError('this worker takes no other job', { code: BUSY })
    }
    reply.result(true)
  }

  /** Something failed that no handler waited for: what this process holds is not to be trusted. */
  #crash(error) {
    const job = this.#job
    const owner = owners.getStore()
    if (job && owner && owner !== job) return this.#leftBehind(owner, error)
    if (job) this.#fail(job, error, this.#loaded ? 'run' : 'import')
    else process.stderr.write(`${error?.stack ?? error}\n`)
    process.exit(1)
  }

  /** What an earlier job has left running failed: the one under way has nothing to do with it. */
  #leftBehind({ fields }, error) {
    this.#isSpoilt = true
    const message = `left behind: ${error?.stack ?? error}`
    this.#peer.notify(methods.LEFT_BEHIND, { jobId: fields.jobId, message })
  }

  /** End with the host: what it does not wait for must not go on running. */
  #onEnd() {
    this.#peer.close(new PeerClosedError('the host closed the channel'))
    if (this.#job || !this.#taken || this.#reused) process.exit(0)
  }
}

/** Tell of an answer that was too long in one that is not. */
function brief({ name, message }) {
  const data = { type: name, message, phase: 'run', retryable: true }
  return new RpcError(`${name}: ${message}`, { data })
}
