/**
 * What of JavaScript JSON can hold: as strict as the other side, and with the same forms.
 *
 * Nothing is dropped or turned into a string silently, but for one custom of the language: a
 * property that is `undefined` is one that is not there.
 */

import { types } from 'node:util'

import { ValuePathError } from './errors.mjs'

// A value travels inside a message, which as a whole must stay within the host's 512 levels.
const VALUE_DEPTH = 512
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
    if (types.isDate(value) && Number.isNaN(value.getTime())) refuse(path, 'is an invalid date')
    return convert(value.toJSON(), path, inside)
  }
  if (types.isBoxedPrimitive(value)) return convert(unboxed(value), path, inside)
  if (ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value)) return binary(value, path, inside)
  if (Array.isArray(value)) return items(complete(value, path, value.length), path, inside)
  if (types.isArgumentsObject(value)) return items([...value], path, inside)
  if (types.isSet(value)) return items([...complete(value, path, 0)], path, inside)
  if (types.isMap(value)) return entries(complete(value, path, 0), path, inside)
  const unfit = UNFIT.find(([isUnfit]) => isUnfit(value))
  if (unfit) refuse(path, unfit[1])
  return entries(members(value, path), path, inside)
}

/** Return the primitive in an object such as `new Number(3)`, whatever its methods say. */
function unboxed(value) {
  if (types.isNumberObject(value)) return Number.prototype.valueOf.call(value)
  if (types.isStringObject(value)) return String.prototype.valueOf.call(value)
  if (types.isBooleanObject(value)) return Boolean.prototype.valueOf.call(value)
  if (types.isBigIntObject(value)) return BigInt.prototype.valueOf.call(value)
  return Symbol.prototype.valueOf.call(value)
}

/** Refuse a list or a map that has properties beside its `count` items, as what `match` returns. */
function complete(value, path, count) {
  const keys = Object.keys(value)
  if (keys.length > count) {
    const names = keys.filter((key) => !/^\d+$/.test(key)).join(', ')
    if (names) refuse(path, `has properties beside its items (${names}); return both in an object`)
  }
  return value
}

/** Return an object's properties; refuse one whose content is elsewhere, which would become `{}`. */
function members(value, path) {
  const found = Object.entries(value)
  if (found.length === 0 && !isPlain(value)) {
    const name = value.constructor?.name || 'object'
    refuse(path, `is of type ${name}, without properties of its own; return plain data made from it`)
  }
  const symbols = Object.getOwnPropertySymbols(value)
  const lost = symbols.find((each) => Object.prototype.propertyIsEnumerable.call(value, each))
  if (lost) refuse(path, `has the key ${String(lost)}; JSON keys are strings`)
  return found
}

function isPlain(value) {
  const above = Object.getPrototypeOf(value)
  // The second holds for objects of another realm, as those of `node:vm`.
  return above === null || Object.getPrototypeOf(above) === null
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
  if (types.isAnyArrayBuffer(value)) return Buffer.from(value).toString('base64')
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

// What says more than its properties do.
const UNFIT = [
  [types.isPromise, 'is a promise: `await` it first'],
  [(value) => types.isNativeError(value) || value instanceof Error, 'is an error; throw it, or return its message'],
  [types.isRegExp, 'is a regular expression; return its source'],
  [types.isGeneratorObject, 'is a generator; return [...it]'],
  [types.isMapIterator, 'is an iterator; return [...it]'],
  [types.isSetIterator, 'is an iterator; return [...it]'],
]
