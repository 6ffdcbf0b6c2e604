/**
 * What a worker file calls: the host's auto-imports, here as globals and as `#imports`.
 *
 * They change nothing; they say what a thing is, and complain at once when it is something else.
 */

function defineQueueWorker(handler) {
  if (typeof handler !== 'function') {
    throw new TypeError(`a worker is a function (job, ctx), not ${kind(handler)}`)
  }
  return handler
}

function defineQueueConfig(config) {
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw new TypeError(`a config is an object, not ${kind(config)}`)
  }
  return config
}

function kind(value) {
  return value === null ? 'null' : Array.isArray(value) ? 'an array' : `a ${typeof value}`
}

exports.defineQueueWorker = defineQueueWorker
exports.defineQueueConfig = defineQueueConfig
// The names that the newer host has for the same.
exports.defineFunction = defineQueueWorker
exports.defineFunctionConfig = defineQueueConfig
