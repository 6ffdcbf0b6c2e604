// Returns what JSON has a form for, and what it has none for.

class Point {
  constructor() {
    this.x = 1
    this.y = 2
  }
}

const cycle = { name: 'a' }
cycle.self = [cycle]
let deep = []
for (let n = 0; n < 600; n += 1) deep = [deep]

const VALUES = {
  nothing: undefined,
  null: null,
  false: false,
  'response': { jsonrpc: '2.0', error: { code: 1 }, id: 1, result: 2 },
  numbers: [0, -0, 1.5, 5e-324, 1e308, 0.1 + 0.2, 2 ** 53 - 1, 1e21],
  text: 'NUL \0, separators \u2028\u2029, é😀, "quoted"\n',
  date: new Date(0),
  map: new Map([['a', 1], ['b', new Set([1, 2])]]),
  bytes: new Uint8Array([1, 2, 255]),
  'part of a buffer': new DataView(new Uint8Array([0, 1, 2, 255, 0]).buffer, 1, 3),
  buffer: Buffer.from('text'),
  floats: new Float64Array([0.5, 1]),
  instance: new Point(),
  url: new URL('https://example.org/a'),
  'own form': { toJSON: () => ({ made: [1] }) },
  optional: { a: 1, b: undefined },
  proto: JSON.parse('{"__proto__": {"a": 1}}'),
  shared: (() => { const one = { a: 1 }; return [one, one] })(),
  nan: { losses: [0.5, Number.NaN] },
  infinity: { a: [1, -Infinity] },
  large: { n: 2 ** 53 + 1 },
  bigint: { n: [10n] },
  'undefined item': { a: [1, undefined] },
  hole: [1, , 2],
  function: { a: { run() {} } },
  symbol: [Symbol('s')],
  promise: { later: Promise.resolve(1) },
  error: [new Error('e')],
  regex: { 'a b': /x/ },
  'bad date': [new Date(Number.NaN)],
  surrogate: { a: 'x\ud800' },
  'surrogate key': { 'x\ud800': 1 },
  'map key': { m: new Map([[1, 2]]) },
  cycle,
  deep,
}

export default (job) => VALUES[job.data]
