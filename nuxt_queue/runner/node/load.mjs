/**
 * Loads a worker file: TypeScript or not, module or CommonJS; finds its handler.
 */

import { readFileSync } from 'node:fs'
import Module, { createRequire } from 'node:module'
import { basename } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

import definitions from './define.cjs'
import { WorkerFileError } from './errors.mjs'
import * as imports from './imports.mjs'

/** Make what the host auto-imports available to every module of this process. */
export function defineGlobals() {
  Object.assign(globalThis, definitions)
}

/** Import a worker file and return its handler. */
export async function load(path) {
  if (/\.[cm]?ts$/.test(path)) await loadTypeScript(path)
  if (/(['"])#imports\1/.test(readFileSync(path, 'utf8'))) provideImports()
  const exported = await import(pathToFileURL(path).href)
  return handlerOf(exported, basename(path))
}

/**
 * Have tsx translate TypeScript, if the worker's project has it.
 *
 * Without it Node does, or the runner would not have started this file.
 */
async function loadTypeScript(path) {
  let loader
  try {
    loader = createRequire(pathToFileURL(path)).resolve('tsx')
  } catch {
    return
  }
  await import(pathToFileURL(loader).href)
}

function provideImports() {
  if (Module.registerHooks) {
    Module.registerHooks(imports)
    return
  }
  if (!Module.register) {
    throw new WorkerFileError(
      `#imports needs Node 20.6 or newer, and this is ${process.version};` +
        ' leave the import out: what it names is there without it',
    )
  }
  Module.register('./imports.mjs', import.meta.url)
  // `require('#imports')`, which is also what tsx makes of an import in a CommonJS package.
  const file = fileURLToPath(new URL('./define.cjs', import.meta.url))
  const original = Module._resolveFilename
  Module._resolveFilename = function resolveFilename(request, ...rest) {
    return request === '#imports' ? file : original.call(this, request, ...rest)
  }
}

/** Find the handler: CommonJS wraps what it exports once more, and tsx once more again. */
function handlerOf(exported, name) {
  let found = exported.default
  for (let wraps = 0; wraps < 2 && typeof found === 'object' && found !== null; wraps += 1) {
    found = found.default
  }
  if (typeof found === 'function') return found
  throw new WorkerFileError(
    `${name} has no function as its default export; write` +
      ' `export default defineQueueWorker(async (job, ctx) => …)`',
  )
}
