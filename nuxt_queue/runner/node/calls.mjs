/**
 * The calls of one job: written when they are made, drained before the job's answer.
 */

import { METHOD_NOT_FOUND, NotSupportedByHost, PeerClosedError } from './errors.mjs'
import { LOG } from './methods.mjs'
import { toJson } from './values.mjs'

/** A promise that knows whether anybody has asked for its outcome. */
export class Call extends Promise {
  seen = false
  label = ''

  // What `then` makes is an ordinary promise.
  static get [Symbol.species]() {
    return Promise
  }

  then(onResult, onError) {
    this.seen = true
    return super.then(onResult, onError)
  }
}

/** Makes the calls of one job and remembers what is outstanding. */
export class Calls {
  #peer
  #outstanding = new Set()
  #failed = []
  #closed = false

  constructor(peer) {
    this.#peer = peer
  }

  /** Write a call now; `label` is what the worker wrote. */
  make(method, params, label) {
    const call = new Call((resolve, reject) => {
      if (this.#closed) throw new PeerClosedError(`${label}: the job has ended`)
      const answer = this.#peer.call(method, params, label)
      answer.then(resolve, (error) => reject(explain(error, method, label)))
    })
    call.label = label
    this.#outstanding.add(call)
    // Not through `call.then`: this is not somebody who looks at the outcome.
    Promise.prototype.then.call(
      call,
      () => this.#outstanding.delete(call),
      (error) => {
        this.#outstanding.delete(call)
        this.#failed.push({ call, error })
      },
    )
    return call
  }

  /** Write a log line; nobody answers it. */
  log(params) {
    if (!this.#closed) this.#peer.notify(LOG, params)
  }

  /** Return a value of the worker's as JSON data. */
  plain(value, path) {
    return toJson(value, path)
  }

  /** Tell whether nothing is outstanding. */
  get settled() {
    return this.#outstanding.size === 0
  }

  /** Wait for what is outstanding. */
  async drain() {
    await Promise.allSettled([...this.#outstanding].map(unseen))
  }

  /** Return the first call that failed while nobody awaited it, with its error. */
  get overlooked() {
    return this.#failed.find(({ call }) => !call.seen)
  }

  /** The job has its answer: what is still running in this process no longer speaks for it. */
  close() {
    this.#closed = true
  }
}

function unseen(call) {
  return new Promise((resolve) => Promise.prototype.then.call(call, resolve, resolve))
}

function explain(error, method, label) {
  if (error.code !== METHOD_NOT_FOUND) return error
  return new NotSupportedByHost(`this host has no ${method}, which ${label} needs`, error)
}
