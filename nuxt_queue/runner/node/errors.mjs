/**
 * What goes wrong on this side of the wire.
 */

/** A JSON-RPC error object: `code`, `message` and optional `data`. */
export class RpcError extends Error {
  name = 'RpcError'

  constructor(message, { code = -32000, data } = {}) {
    super(message)
    this.code = code
    this.data = data
  }
}

/** The host lacks a method of the context; the message names it. */
export class NotSupportedByHost extends RpcError {
  name = 'NotSupportedByHost'
}

/** A call that can no longer be answered, because the job or its host is gone. */
export class PeerClosedError extends RpcError {
  name = 'PeerClosedError'
}

/** A value that JSON cannot hold; names where it sits, for example `result.a[3].loss`. */
export class ValuePathError extends TypeError {
  name = 'ValuePathError'

  constructor(path, problem) {
    super(`${path} ${problem}`)
    this.path = path
  }
}

/** A call that failed while nobody awaited it. */
export class CallFailedError extends Error {
  name = 'CallFailedError'
}

/** A file that cannot be used as a worker. */
export class WorkerFileError extends Error {
  name = 'WorkerFileError'
}

export const PARSE_ERROR = -32700
export const INVALID_REQUEST = -32600
export const METHOD_NOT_FOUND = -32601
export const INVALID_PARAMS = -32602
export const INTERNAL_ERROR = -32603
export const BUSY = -32001
