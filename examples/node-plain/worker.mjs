// A worker in Node, without any package.  It counts words; from "The protocol" on it is the same
// for every handler.  docs/protocol.md of nuxt-queue says why each line is there.
import fs from 'node:fs'

// --- The handler ---------------------------------------------------------------------------------

async function handler(job) {
  const data = job?.data
  if (data?.nq === 'conformance') return conformance(data)
  if (typeof data?.text !== 'string') {
    throw new TypeError('no text to count; the job\'s data is {"text": "..."}')
  }
  const all = data.text.match(/[\p{L}\p{N}_]+/gu) ?? []
  const words = {}
  for (const word of all) words[word.toLowerCase()] = (words[word.toLowerCase()] ?? 0) + 1
  log('info', 'counted', { different: Object.keys(words).length })
  const seen = await call('ctx.state.incr', { key: 'words', by: all.length })
  await call('ctx.flow.emit', { trigger: 'words.counted', payload: { words } })
  return { words, seen }
}

// What `nq conformance` asks of a handler that helps it to see more.
async function conformance(data) {
  if (data.do === 'echo') return data.value
  if (data.do === 'fail') throw new Error(data.message)
  if (data.do === 'state') {
    await call('ctx.state.set', { key: data.key, value: data.value })
    return call('ctx.state.get', { key: data.key })
  }
  if (data.do === 'log') {
    for (let n = 0; n < data.times; n++) log(data.level, data.message, data.metadata)
  } else if (data.do === 'emit') {
    await call('ctx.flow.emit', { trigger: data.trigger, payload: data.payload })
  } else if (data.do === 'print') {
    process.stdout.write(data.text)
  }
}

// --- The protocol --------------------------------------------------------------------------------

const HOST_HOLDS = 65_536 // bytes; a host that does not frame by lines loses what is longer
const framed = process.env.NQ_RPC_FRAMING === 'lines'
const capture = Number(process.env.NQ_STDOUT_FD ?? 2)
for (const name of ['NUXT_QUEUE_CHILD_PROCESS', 'NQ_RPC_FRAMING', 'NQ_STDOUT_FD']) {
  delete process.env[name]
}
// Node cannot move its stdout, so what prints is led elsewhere.  A subprocess must not inherit it:
// start one with stdio: ['ignore', 'pipe', 'inherit'].
process.stdout.write = (text) => (writeAll(capture, Buffer.from(text)), true)

const calls = new Set() // promises
const pending = new Map() // id -> { settle, size }
const waiting = [] // calls that would be more than the host holds
let unanswered = 0 // bytes
let nextId = 1_000_000
let reply // answers the job, once there is one

const decoder = new TextDecoder('utf-8', { fatal: true })
let rest = Buffer.alloc(0)
process.stdin.on('data', (chunk) => {
  const lines = Buffer.concat([rest, chunk])
  let start = 0
  for (let end; (end = lines.indexOf(10, start)) >= 0; start = end + 1) {
    receive(lines.subarray(start, end))
  }
  rest = lines.subarray(start)
})
process.stdin.on('end', () => process.exit(0)) // the host has gone

function call(method, params) {
  const id = ++nextId
  const line = encode({ jsonrpc: '2.0', method, params, id })
  const answer = new Promise((resolve, reject) => {
    if (!framed && line.length > HOST_HOLDS) return reject(tooLong(method, line))
    const settle = (message) =>
      message.error ? reject(new Error(`${method}: ${message.error.message}`)) : resolve(message.result)
    waiting.push({ id, line, settle })
    sendWaiting()
  })
  calls.add(answer)
  answer.catch(() => {}).then(() => calls.delete(answer))
  return answer
}

function sendWaiting() {
  while (waiting.length && (framed || !unanswered || unanswered + waiting[0].line.length <= HOST_HOLDS)) {
    const { id, line, settle } = waiting.shift()
    pending.set(id, { settle, size: line.length })
    unanswered += line.length
    writeAll(1, line)
  }
}

function log(level, message, metadata = {}) {
  const params = { level, message, metadata }
  if (framed) send({ jsonrpc: '2.0', method: 'ctx.logger.log', params })
  else call('ctx.logger.log', params) // its answer makes room
}

async function run(params) {
  let body
  try {
    body = { result: (await handler(params.job)) ?? null }
  } catch (error) {
    const text = `${error.name}: ${error.message}`
    const data = { type: error.name, message: error.message, traceback: error.stack }
    body = { error: { code: -32000, message: text, data } }
  }
  await Promise.allSettled(calls) // those that nobody has awaited
  reply(body)
  process.exit(0)
}

// Take one line: an answer to a call of ours, or requests of the host.
function receive(line) {
  if (!line.toString('latin1').trim()) return
  let value
  try {
    value = JSON.parse(decoder.decode(line))
  } catch {
    return send(answerTo(null, rpcError(-32700, 'not JSON')))
  }
  if (Array.isArray(value) && value.length) serveBatch(value)
  else serve(value, send)
}

// Answers to a batch go out together, when the last of them is there.
function serveBatch(messages) {
  const missing = messages.filter((m) => !isAnswer(m) && !isNotification(m)).length
  const answers = []
  for (const message of messages) {
    serve(message, (answer) => {
      if (answers.push(answer) === missing) send(answers)
    })
  }
}

function serve(message, sendAnswer) {
  if (isAnswer(message)) return settle(message)
  if (!isRequest(message)) return sendAnswer(answerTo(null, rpcError(-32600, 'no request')))
  const { method, params, id } = message
  const answer = (body) => id !== undefined && sendAnswer(answerTo(id, body))
  if (method === 'execute') {
    if (reply) return answer(rpcError(-32001, 'this worker has its job already'))
    if (!isObject(params)) return answer(rpcError(-32602, 'execute takes {job, context}'))
    reply = answer
    run(params)
  } else if (method === 'shutdown') {
    answer({ result: null })
    process.exit(0)
  } else if (method !== 'cancel') {
    answer(rpcError(-32601, `a worker has no method ${method.slice(0, 80)}`))
  }
}

function settle(message) {
  const found = pending.get(message.id)
  if (!found) return // nobody has asked
  pending.delete(message.id)
  unanswered -= found.size
  found.settle(message)
  sendWaiting()
}

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isAnswer(message) {
  return isObject(message) && !('method' in message) && ('result' in message || 'error' in message)
}

function isRequest(message) {
  if (!isObject(message) || message.jsonrpc !== '2.0' || typeof message.method !== 'string') return false
  if ('params' in message && (typeof message.params !== 'object' || message.params === null)) return false
  if (typeof message.id === 'string') return message.id.length <= 4096 // it is repeated
  return message.id == null || typeof message.id === 'number'
}

function isNotification(message) {
  return isRequest(message) && !('id' in message)
}

function rpcError(code, message) {
  return { error: { code, message } }
}

function answerTo(id, body) {
  const answer = { jsonrpc: '2.0', id, ...body }
  const line = framed ? '' : encode(answer)
  if (line.length <= HOST_HOLDS) return answer
  return { jsonrpc: '2.0', id, ...rpcError(-32000, tooLong('the answer', line).message) }
}

function tooLong(what, line) {
  return new Error(`${what} is a line of ${line.length} bytes, and this host loses lines over ${HOST_HOLDS}`)
}

function encode(message) {
  return Buffer.from(JSON.stringify(message) + '\n')
}

function send(message) {
  writeAll(1, encode(message))
}

// process.exit() would lose what an asynchronous write has not written.
function writeAll(fd, data) {
  for (let start = 0; start < data.length; ) {
    try {
      start += fs.writeSync(fd, data, start)
    } catch (error) {
      if (error.code === 'EPIPE') process.exit(0)
      if (error.code !== 'EAGAIN') throw error
    }
  }
}
