/**
 * One side of a JSON-RPC conversation: ids, pending calls, dispatch.  Knows no descriptor.
 */

import { INTERNAL_ERROR, INVALID_REQUEST, PARSE_ERROR, RpcError } from './errors.mjs'

// Kept, with `hasOwn`: a worker may change what all code of its process shares.
const { parse, stringify } = JSON
const { hasOwn } = Object

// Ids of the two sides are separate; far apart they are also easy to tell in a trace.
const FIRST_ID = 1_000_001
const LONGEST_ID = 4096 // characters; each answer repeats it
const MOST_MESSAGES = 100 // of one batch, each of which is answered
// A byte order mark is kept, so that it is refused, and what is no UTF-8 is not repaired.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Answers one request, once; for a notification it swallows the answer. */
class Reply {
  #send
  #id

  constructor(send, id) {
    this.#send = send
    this.#id = id
  }

  result(value) {
    this.#answer(`"result":${stringify(value)}`)
  }

  error(error) {
    this.#answer(`"error":${errorBody(error)}`)
  }

  #answer(body) {
    if (this.#id === undefined) return
    this.#send(`{"jsonrpc":"2.0",${body},"id":${this.#id}}`)
    this.#id = undefined
  }
}

/** Sends calls, matches their answers; hands requests to `serve(method, params, reply)`. */
export class Peer {
  #send
  #serve
  #pending = new Map()
  #nextId = FIRST_ID
  #closed = null

  constructor(send, serve) {
    this.#send = send
    this.#serve = serve
  }

  /**
   * Write a request; return the promise of its answer.
   *
   * Throws when the peer is closed, or for a request that is too long, which `label` names.
   */
  call(method, params, label = method) {
    this.#throwIfClosed()
    const id = this.#nextId++
    const answer = new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }))
    try {
      this.#send(stringify({ jsonrpc: '2.0', method, params, id }), label)
    } catch (error) {
      this.#pending.delete(id)
      throw error
    }
    return answer
  }

  /** Write a call that is not answered. */
  notify(method, params) {
    this.#throwIfClosed()
    this.#send(stringify({ jsonrpc: '2.0', method, params }), method)
  }

  /** Take one line that has arrived; never throws for what the line holds. */
  receive(line) {
    let text
    let value
    try {
      text = utf8.decode(line)
      value = parse(text)
    } catch (error) {
      this.#send(failure('null', new RpcError(`not JSON: ${error.message}`, { code: PARSE_ERROR })))
      return
    }
    const ids = exactIds(text)
    if (!Array.isArray(value)) {
      this.#take(value, ids[0], this.#send)
    } else if (value.length > MOST_MESSAGES) {
      this.#send(invalid(`a batch of more than ${MOST_MESSAGES} messages`))
    } else if (value.length > 0) {
      this.#takeBatch(value, ids)
    } else {
      this.#send(invalid('an empty batch'))
    }
  }

  /** Reject every pending call with `reason`; later calls throw it. */
  close(reason) {
    this.#closed ??= reason
    for (const { reject } of this.#pending.values()) reject(this.#closed)
    this.#pending.clear()
  }

  #throwIfClosed() {
    if (this.#closed) throw this.#closed
  }

  #takeBatch(values, ids) {
    // Responses and notifications get no answer; everything else, valid or not, gets one.
    let missing = values.filter((value) => !isResponse(value) && !isNotification(value)).length
    const answers = []
    const add = (answer) => {
      answers.push(answer)
      if (--missing === 0) this.#send(`[${answers.join(',')}]`)
    }
    values.forEach((value, i) => this.#take(value, ids[i], add))
  }

  #take(message, exactId, send) {
    if (isResponse(message)) {
      this.#settle(message)
      return
    }
    const problem = requestProblem(message)
    if (problem) {
      send(invalid(problem, idOf(message, exactId) ?? 'null'))
      return
    }
    const reply = new Reply(send, idOf(message, exactId))
    try {
      this.#serve(message.method, message.params ?? {}, reply)
    } catch (error) {
      reply.error(error)
    }
  }

  #settle(message) {
    const pending = this.#pending.get(message.id)
    if (!pending || responseProblem(message)) return // nobody asked, or nobody can use it
    this.#pending.delete(message.id)
    if (hasOwn(message, 'error')) {
      const { code, message: text, data } = message.error
      pending.reject(new RpcError(text, { code, data }))
    } else {
      pending.resolve(message.result)
    }
  }
}

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isId(value) {
  if (typeof value === 'string') return value.length <= LONGEST_ID
  return value === null || typeof value === 'number'
}

/** Return the id of a message as JSON text; undefined when it has none. */
function idOf(message, exactId) {
  if (!isObject(message) || !hasOwn(message, 'id') || !isId(message.id)) return undefined
  return exactId ?? stringify(message.id)
}

function isResponse(value) {
  if (!isObject(value) || hasOwn(value, 'method')) return false
  return hasOwn(value, 'result') || hasOwn(value, 'error')
}

function isNotification(value) {
  return isObject(value) && !hasOwn(value, 'id') && !requestProblem(value)
}

function requestProblem(message) {
  if (!isObject(message)) return 'a message must be an object'
  if (message.jsonrpc !== '2.0') return '"jsonrpc" must be "2.0"'
  if (typeof message.method !== 'string') return '"method" must be a string'
  const { params } = message
  if (hasOwn(message, 'params') && (typeof params !== 'object' || params === null)) {
    return '"params" must be an object or an array'
  }
  if (hasOwn(message, 'id') && !isId(message.id)) {
    return `"id" must be a string of at most ${LONGEST_ID} characters, a number or null`
  }
  return null
}

function responseProblem(message) {
  if (message.jsonrpc !== '2.0') return true
  if (hasOwn(message, 'result') === hasOwn(message, 'error')) return true
  if (!hasOwn(message, 'error')) return false
  const { error } = message
  return !isObject(error) || !Number.isInteger(error.code) || typeof error.message !== 'string'
}

function errorBody(error) {
  if (error instanceof RpcError) {
    return stringify({ code: error.code, message: error.message, data: error.data })
  }
  return stringify({ code: INTERNAL_ERROR, message: `${error?.name}: ${error?.message}` })
}

function failure(id, error) {
  return `{"jsonrpc":"2.0","error":${errorBody(error)},"id":${id}}`
}

function invalid(problem, id = 'null') {
  return failure(id, new RpcError(problem, { code: INVALID_REQUEST }))
}

// Where an id may be a number that a double does not hold, or does not write, as it was written.
const INEXACT_ID = /"id"\s*:\s*-?(?:\d{16}|\d+[.eE])/
const TOKEN = /"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s[\]{},:"]+/g

/**
 * Return the ids of the messages in a line as they were written, by their index in a batch.
 *
 * The specification wants the same value back, and JSON.parse makes 1 of 1.0 and rounds 2**63.
 */
function exactIds(text) {
  const ids = []
  if (!INEXACT_ID.test(text)) return ids
  const tokens = text.match(TOKEN)
  const level = tokens[0] === '[' ? 2 : 1
  let depth = 0
  let index = 0
  tokens.forEach((token, i) => {
    if (token === '{' || token === '[') depth += 1
    else if (token === '}' || token === ']') depth -= 1
    else if (token === ',' && depth === level - 1) index += 1
    else if (token === '"id"' && depth === level && tokens[i + 1] === ':') {
      const written = tokens[i + 2]
      if (/^-?\d/.test(written)) ids[index] = written
      else delete ids[index]
    }
  })
  return ids
}

