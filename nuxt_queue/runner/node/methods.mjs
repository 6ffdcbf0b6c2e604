/**
 * The names of the wire, as `nuxt_queue/rpc/methods.py` has them; a test compares the two.
 */

export const EXECUTE = 'execute'
export const SHUTDOWN = 'shutdown'
export const CANCEL = 'cancel'
export const NEXT = 'next'
export const STARTED = 'started'
export const CONFIRM_START = 'confirmStart'
export const LEFT_BEHIND = 'leftBehind'

export const STATE_GET = 'ctx.state.get'
export const STATE_SET = 'ctx.state.set'
export const STATE_DELETE = 'ctx.state.delete'
export const STATE_INCR = 'ctx.state.incr'
export const LOG = 'ctx.logger.log'
export const FLOW_EMIT = 'ctx.flow.emit'
export const FLOW_START = 'ctx.flow.startFlow'
export const FLOW_CANCEL = 'ctx.flow.cancelFlow'
export const FLOW_CANCEL_OWN = 'ctx.flow.cancel'
export const FLOW_RESTART = 'ctx.flow.restartFlow'
export const FLOW_IS_RUNNING = 'ctx.flow.isRunning'
export const FLOW_RUNNING = 'ctx.flow.getRunningFlows'
export const FLOW_STATS = 'ctx.flow.getFlowStats'
export const FLOW_ALL_STATS = 'ctx.flow.getAllFlowStats'
export const FLOW_HAS_STATS = 'ctx.flow.hasFlowStats'

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error']

export const CONTEXT_FIELDS = [
  'jobId',
  'queue',
  'flowId',
  'flowName',
  'stepName',
  'stepId',
  'attempt',
  'trigger',
  'awaitConfig',
]

export const ENV_CHILD = 'NUXT_QUEUE_CHILD_PROCESS'
export const ENV_FRAMING = 'NQ_RPC_FRAMING'
export const ENV_MAX_MESSAGE = 'NQ_MAX_MESSAGE'
export const ENV_WIRE_FDS = 'NQ_WIRE_FDS'
