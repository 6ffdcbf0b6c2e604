/**
 * What of JavaScript JSON can hold: as strict as the other side, and with the same forms.
 *
 * Nothing is dropped or turned into a string silently, but for one custom of the language: a
 * property that is `undefined` is one that is not there.
 */

import { ValuePathError } from './errors.mjs'

// A value travels inside a message, which as a whole must stay within the host's 512 levels.
const VALUE_DEPTH = 500
const PATH_SHOWN = 80

/**
 * Return `value` as plain data that JSON holds as it is.
 *
 * @param {unknown} value Anything.
 * @param {string} path What to call it in an error, for example `result`.
 * @throws {ValuePathError} If JSON cannot hold it; names the place.
 */
export function toJson(value, path) {
  return convert(value, path, [])
}

function convert(value, path, above) {
  switch (typeof value) {
    case 'string':
      return text(value, path)
    case 'number':
      return isExact(value) ? value : inexact(value, path)
    case 'boolean':
      return value
    case 'undefined':
      return refuse(path, 'is undefined, which JSON does not have; use null')
    case 'bigint':
      return refuse(path, `is the bigint ${value}n, which JSON does not have; send it as a string`)
    case 'object':
      return value === null ? null : object(value, path, above)
    default:
      return refuse(path, `is a ${typeof value}, which JSON cannot hold; return plain data`)
  }
}

/** Tell whether the host reads the same number: from 1e21 on one is written with its exponent. */
function isExact(value) {
  if (!Number.isInteger(value)) return Number.isFinite(value)
  return Number.isSafeInteger(value) || Math.abs(value) >= 1e21
}

function inexact(value, path) {
  return refuse(
    path,
    Number.isFinite(value)
      ? `is ${value}, an integer that JavaScript rounds; send it as a string`
      : `is ${value}, which JSON does not have; use null or leave it out`,
  )
}

function object(value, path, above) {
  if (above.includes(value)) refuse(path, 'contains itself')
  if (above.length >= VALUE_DEPTH) refuse(path, `is nested deeper than ${VALUE_DEPTH} levels`)
  const inside = [...above, value]
  if (typeof value.toJSON === 'function' && !Buffer.isBuffer(value)) {
    if (value instanceof Date && Number.isNaN(value.getTime())) refuse(path, 'is an invalid date')
    return convert(value.toJSON(), path, inside)
  }
  if (Array.isArray(value)) return items(value, path, inside)
  if (value instanceof Set) return items([...value], path, inside)
  if (value instanceof Map) return entries(value, path, inside)
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return binary(value, path, inside)
  const unfit = UNFIT.find(([kind]) => value instanceof kind)
  if (unfit) refuse(path, unfit[1])
  return entries(Object.entries(value), path, inside)
}

function items(values, path, inside) {
  return Array.from(values, (item, i) =>
    isLeaf(item) ? item : convert(item, `${path}[${i}]`, inside),
  )
}

/** Tell what needs no path: to write a million of them would take longer than all the rest. */
function isLeaf(value) {
  return isExact(value) || (typeof value === 'string' && value.isWellFormed())
}

function entries(pairs, path, inside) {
  const plain = Object.create(null) // has no `__proto__` of its own to set by mistake
  for (const [key, item] of pairs) {
    if (typeof key !== 'string') refuse(path, `has a ${typeof key} as a key; JSON keys are strings`)
    if (item === undefined) continue
    plain[text(key, `a key of ${path}`)] = convert(item, step(path, key), inside)
  }
  return plain
}

function binary(value, path, inside) {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (value instanceof ArrayBuffer) return Buffer.from(value).toString('base64')
  if (value instanceof DataView) {
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')
  }
  return items(value, path, inside)
}

function text(value, path) {
  if (!value.isWellFormed()) {
    refuse(path, 'holds half of a surrogate pair; JSON text is Unicode')
  }
  return value
}

function step(path, key) {
  return /^[\p{ID_Start}_$][\p{ID_Continue}$]*$/u.test(key)
    ? `${path}.${key}`
    : `${path}[${JSON.stringify(key)}]`
}

function refuse(path, problem) {
  const shown = path.length <= PATH_SHOWN ? path : `${path.slice(0, PATH_SHOWN)}…`
  throw new ValuePathError(shown, problem)
}

// What would become `{}` without a word.
const UNFIT = [
  [Promise, 'is a promise: `await` it first'],
  [Error, 'is an error; throw it, or return its message'],
  [RegExp, 'is a regular expression; return its source'],
  [WeakMap, 'is a WeakMap, which JSON cannot hold; return plain data'],
  [WeakSet, 'is a WeakSet, which JSON cannot hold; return plain data'],
]
