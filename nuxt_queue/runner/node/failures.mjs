/**
 * An error of the worker's code as a JSON-RPC error.
 */

import { spawnSync } from 'node:child_process'
import { realpathSync } from 'node:fs'
import { dirname, isAbsolute } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'

import { RpcError } from './errors.mjs'

const OWN = `${dirname(fileURLToPath(import.meta.url))}/`
// Frames that say nothing to the author of a worker.
const FOREIGN = /\/node_modules\/(tsx|esbuild)\//
const FRAME = /^\s+at (?:(.*?) \()?((?:file:\/\/)?\/.*?):(\d+):(\d+)\)?$/
// How Node and esbuild say where a file cannot be parsed.
const PARSED = /^((?:file:\/\/)?\/.*):(\d+)$/m
const TRANSLATED = /^(\/.*):(\d+):\d+: ERROR: (.*)$/m
// Characters of a message or a stack; the middle is left out beyond.
const TEXT_LIMIT = 64 * 1024
const CAUSES = 10

/**
 * Return the error that tells the host what happened.
 *
 * The message is `Type: text`, which stands alone in a host that shows nothing else; the data holds
 * `type`, `message`, `traceback`, `cause`, `retryable`, `location`, `phase`, and for some a `hint`.
 */
export function toRpcError(error, phase, worker) {
  const { type, message } = described(error)
  const data = {
    type,
    message,
    traceback: shorten(traceback(error)),
    cause: cause(error),
    retryable: isRetryable(error),
    location: location(error, phase, worker),
    phase,
  }
  const hint = hintFor(error, type, message)
  if (hint) data.hint = hint
  return new RpcError(shorten(message ? `${type}: ${message}` : type), { data })
}

function described(error) {
  if (!(error instanceof Error) && typeof error?.message !== 'string') {
    return { type: 'NonError', message: shorten(`${safely(() => inspect(error))} was thrown`) }
  }
  const message = shorten(safely(() => String(error.message)))
  const translated = TRANSLATED.exec(message)
  if (error.name === 'TransformError' && translated) {
    return { type: 'SyntaxError', message: translated[3] }
  }
  return { type: nameOf(error), message }
}

/** The name that it was given, or its class's: `class Gone extends Error {}` keeps `Error`. */
function nameOf(error) {
  return safely(() => {
    const given = String(error.name ?? '')
    return given && given !== 'Error' ? given : (error.constructor?.name ?? 'Error')
  })
}

function safely(read) {
  try {
    return read()
  } catch (broken) {
    return `<reading it threw ${broken?.name}>`
  }
}

function shorten(text) {
  const whole = text.toWellFormed()
  if (whole.length <= TEXT_LIMIT) return whole
  const half = TEXT_LIMIT / 2
  const left = whole.length - TEXT_LIMIT
  const ends = [whole.slice(0, half), whole.slice(-half)].map((end) => end.toWellFormed())
  return ends.join(`\n… ${left} characters left out …\n`)
}

/** Return the stack without frames of ours, with those of its causes and parts. */
function traceback(error) {
  const parts = []
  const seen = new Set()
  const todo = [['', error]]
  while (todo.length > 0 && parts.length < CAUSES) {
    const [label, each] = todo.shift()
    if (seen.has(each)) continue
    seen.add(each)
    parts.push(label + trimmed(each))
    if (!(each instanceof Error)) continue
    if (each.cause !== undefined) todo.push(['[cause]: ', each.cause])
    if (Array.isArray(each.errors)) todo.push(...each.errors.map((e, i) => [`[errors][${i}]: `, e]))
  }
  return parts.join('\n')
}

function trimmed(error) {
  const stack = stackOf(error)
  return stack
    .split('\n')
    .filter((line) => !/^\s+at /.test(line) || userFrame(line) || isNative(line))
    .join('\n')
}

function isNative(line) {
  return !line.includes('node:') && !FRAME.test(line)
}

function stackOf(error) {
  if (!(error instanceof Error)) return safely(() => inspect(error))
  const stack = safely(() => error.stack)
  return typeof stack === 'string' ? stack : `${nameOf(error)}: ${safely(() => error.message)}`
}

/** Return a stack's line as a place in the worker's code; null when it is none. */
function userFrame(line) {
  const found = FRAME.exec(line)
  if (!found) return null
  const file = pathOf(found[2])
  if (file.startsWith(OWN) || FOREIGN.test(file)) return null
  const name = (found[1] ?? '').replace(/^(async|new) /, '')
  const unnamed = name === '' || name === '<anonymous>' || name === 'Object.<anonymous>'
  return { file, line: Number(found[3]), function: unnamed ? null : name }
}

function pathOf(place) {
  const path = place.startsWith('file:') ? safely(() => fileURLToPath(place)) : place
  return path.replace(/\?.*$/, '')
}

function cause(error) {
  if (!(error instanceof Error) || error.cause === undefined) return null
  return described(error.cause)
}

/** BullMQ's error that ends the attempts, or any that says so itself. */
function isRetryable(error) {
  return error?.retryable !== false && error?.name !== 'UnrecoverableError'
}

/** Find the innermost line of the worker's file, or of a file that it called. */
function location(error, phase, worker) {
  const frames = stackOf(error).split('\n').map(userFrame).filter(Boolean)
  const names = new Set([worker, safely(() => realpathSync(worker))])
  const place = unparsed(error) ?? frames.find(({ file }) => names.has(file)) ?? frames[0]
  if (place) return place
  return error instanceof SyntaxError && phase === 'import' ? checked(worker) : null
}

function unparsed(error) {
  const translated = TRANSLATED.exec(safely(() => String(error?.message)))
  const parsed = error instanceof SyntaxError ? PARSED.exec(stackOf(error).split('\n', 1)[0]) : null
  const found = translated ?? parsed
  return found ? { file: pathOf(found[1]), line: Number(found[2]), function: null } : null
}

/** Ask Node where a module cannot be parsed: the error of an import does not say. */
function checked(worker) {
  const { stderr } = spawnSync(process.execPath, ['--check', worker], {
    encoding: 'utf8',
    timeout: 5000,
  })
  const found = PARSED.exec(stderr ?? '')
  return found ? { file: pathOf(found[1]), line: Number(found[2]), function: null } : null
}

function here() {
  return safely(() => process.cwd())
}

function hintFor(error, type, message) {
  const missing = /^Cannot find (?:package|module) '([^'./][^']*)'/.exec(message)?.[1]
  if (missing) {
    const name = missing.startsWith('@') ? missing.split('/', 2).join('/') : missing.split('/')[0]
    return `${name} is not installed where the worker is: npm install ${name}`
  }
  if (type === 'SyntaxError' && /outside a module|Unexpected token 'export'/.test(message)) {
    return 'name the file .mjs, or state "type": "module" in the package.json above it'
  }
  if (error?.code === 'ENOENT' && typeof error.path === 'string' && !isAbsolute(error.path)) {
    return String(error.syscall).startsWith('spawn')
      ? `programs are looked up in the worker's PATH: ${process.env.PATH ?? ''}`
      : `${error.path} is a relative path, looked up in the worker's directory ${here()}: put the` +
          ' file there, give its full path, or state worker.cwd'
  }
  const unknown = /^((?:use|define)[A-Z]\w*) is not defined$/.exec(message)?.[1]
  if (type === 'ReferenceError' && unknown) {
    return `${unknown} is an auto-import of the host's; import it from the package that has it`
  }
  return null
}
