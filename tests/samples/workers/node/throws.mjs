// Fails in every way there is.

class Gone extends Error {
  constructor(message) {
    super(message)
    this.retryable = false
  }
}

class Named extends Error {
  name = 'ValidationError'
}

function deep(n) {
  return n === 0 ? nowhere.at(0) : deep(n - 1)
}

const WAYS = {
  plain: () => { throw new TypeError('no such thing') },
  rejects: () => Promise.reject(new RangeError('too far')),
  'own class': () => { throw new Gone('not there') },
  'own name': () => { throw new Named('bad field') },
  cause: () => { throw new Error('outer', { cause: new Error('inner') }) },
  several: () => { throw new AggregateError([new Error('one'), new Error('two')], 'both') },
  text: () => { throw 'just text' },
  nothing: () => { throw undefined },
  object: () => { throw { code: 7 } },
  cycle: () => { const e = new Error('round'); e.cause = e; throw e },
  'no stack': () => { const e = new Error('stackless'); e.stack = undefined; throw e },
  'bad message': () => {
    const e = new Error('')
    Object.defineProperty(e, 'message', { get() { throw new Error('never') } })
    throw e
  },
  huge: () => { throw new Error('x'.repeat(1_000_000)) },
  surrogate: () => { throw new Error('half \ud800') },
  recursion: () => { const f = () => f() + 1; return f() },
  'deep frames': () => deep(20),
  timer: () => { setTimeout(() => { throw new TypeError('from a timer') }, 0); return new Promise(() => {}) },
  floating: () => { void Promise.reject(new TypeError('nobody waits')); return new Promise(() => {}) },
  'for good': () => { const e = new Error('never again'); e.name = 'UnrecoverableError'; throw e },
}

export default (job) => WAYS[job.data]()
