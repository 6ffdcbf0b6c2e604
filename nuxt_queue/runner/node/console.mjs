/**
 * What `console` writes at a level of its own: one log line of the job, with that level.
 *
 * `console.log`, `console.info` and what they share the stream with stay printed lines: those are
 * at level info already.
 */

import { format } from 'node:util'

const LEVELS = ['debug', 'warn', 'error']

/**
 * Have `console.debug`, `console.warn` and `console.error` send log lines.
 *
 * @param {(line: object) => boolean} send Takes a line; false when no job is there to have it.
 */
export function recordConsole(send) {
  for (const level of LEVELS) {
    const print = console[level].bind(console)
    console[level] = (...values) => {
      if (!send({ level, message: format(...values).toWellFormed(), metadata: {} })) {
        print(...values)
      }
    }
  }
}
