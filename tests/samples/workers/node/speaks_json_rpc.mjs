// No worker: the channel and the peer of the folder that is named, with the methods of the
// specification.

const [sdk] = process.argv.slice(2)
const { Channel } = await import(`${sdk}/channel.mjs`)
const { METHOD_NOT_FOUND, RpcError } = await import(`${sdk}/errors.mjs`)
const { Peer } = await import(`${sdk}/peer.mjs`)

const METHODS = {
  __proto__: null,
  subtract: (p) => (Array.isArray(p) ? p[0] - p[1] : p.minuend - p.subtrahend),
  sum: (p) => p.reduce((a, b) => a + b),
  get_data: () => ['hello', 5],
  update: () => null,
  notify_hello: () => null,
  notify_sum: () => null,
  echo: (p) => p,
}

const channel = new Channel(...process.env.NQ_WIRE_FDS.split(',').map(Number))
const peer = new Peer(
  (text) => channel.write(text),
  (method, params, reply) => {
    if (!METHODS[method]) throw new RpcError(method, { code: METHOD_NOT_FOUND })
    reply.result(METHODS[method](params))
  },
)
channel.listen((line) => peer.receive(line), () => process.exit(0))
