/**
 * Takes the wire before user code runs: lines over two private descriptors.
 *
 * Writes are synchronous, so that nothing is lost when the process ends right behind them; the
 * standard streams get the same, for what a worker prints last.
 */

import { closeSync, constants, openSync, writeSync } from 'node:fs'
import { Socket } from 'node:net'
import { Writable } from 'node:stream'

import { PeerClosedError, ValuePathError } from './errors.mjs'

const NEWLINE = 0x0a
const BLANKS = new Set([0x20, 0x09, 0x0d])
// A full pipe is looked at again this often, if something has made it not block.
const RETRY_MS = 1
const sleeper = new Int32Array(new SharedArrayBuffer(4))

/** Lines over two descriptors. */
export class Channel {
  #reads
  #writes
  #longest

  constructor(readsFd, writesFd, longest) {
    this.#longest = longest
    this.#writes = own(writesFd, constants.O_WRONLY)
    this.#reads = new Socket({ fd: own(readsFd, constants.O_RDONLY), writable: false })
  }

  /**
   * Write one line whole.
   *
   * @param {string} text The line.
   * @param {string} what What is too long if the line is, as the worker wrote it.
   * @throws {ValuePathError} If the line is longer than the host has said it reads.
   * @throws {PeerClosedError} If the host no longer reads.
   */
  write(text, what) {
    const line = Buffer.from(`${text}\n`)
    const size = line.length - 1
    if (size > this.#longest) throw new ValuePathError(what, tooLong(size, this.#longest))
    try {
      writeWhole(this.#writes, line)
    } catch (error) {
      throw new PeerClosedError(`the host closed the channel: ${error.code}`)
    }
  }

  /** Call `onLine` with the bytes of each line, and `onEnd` once when there are no more. */
  listen(onLine, onEnd) {
    let head = [] // the pieces of a line whose newline has not come yet
    this.#reads.on('data', (chunk) => {
      let start = 0
      for (let end; (end = chunk.indexOf(NEWLINE, start)) >= 0; start = end + 1) {
        const line = Buffer.concat([...head, chunk.subarray(start, end)])
        head = []
        if (line.some((byte) => !BLANKS.has(byte))) onLine(line)
      }
      if (start < chunk.length) head.push(chunk.subarray(start))
    })
    this.#reads.on('error', () => {}) // followed by `close`
    this.#reads.on('close', onEnd)
  }

  /** No longer keep the process alive for what may still come. */
  letGo() {
    this.#reads.unref()
  }
}

/** Make the standard streams write at once: what is printed before `process.exit` arrives. */
export function printAtOnce() {
  for (const [name, fd] of [
    ['stdout', 1],
    ['stderr', 2],
  ]) {
    const stream = new Writable({
      decodeStrings: true,
      highWaterMark: 0,
      write: (chunk, _encoding, done) => done(printed(fd, chunk)),
      destroy: (_error, done) => done(), // the descriptor stays: others print too
    })
    Object.assign(stream, { fd, _type: 'pipe', isTTY: false })
    Object.defineProperty(process, name, { configurable: true, enumerable: true, value: stream })
  }
}

function printed(fd, chunk) {
  try {
    writeWhole(fd, chunk)
  } catch {
    // Closed by the worker, or nobody reads it: printing never fails a job.
  }
}

function tooLong(size, longest) {
  const [is, allows] = [size, longest].map((bytes) => bytes.toLocaleString('en-US'))
  return `is ${is} bytes of JSON, and worker.max_message allows ${allows}; write a file and pass its path`
}

function writeWhole(fd, bytes) {
  for (let start = 0; start < bytes.length; ) {
    try {
      start += writeSync(fd, bytes, start)
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error
      Atomics.wait(sleeper, 0, 0, RETRY_MS)
    }
  }
}

/**
 * Return a descriptor for the same pipe that no subprocess inherits.
 *
 * Node marks only the first inherited descriptors so, and has no call for the others; on Linux a
 * pipe can be opened again.  The first open does not wait: it fails when the other end is gone.
 * Where it cannot be, the descriptor that was given has to do.
 */
function own(fd, mode) {
  const again = `/proc/self/fd/${fd}`
  let opened
  try {
    const probe = openSync(again, mode | constants.O_NONBLOCK)
    opened = openSync(again, mode)
    closeSync(probe)
  } catch {
    return fd
  }
  closeSync(fd)
  return opened
}
