"""Every method and parameter name of the wire, once; camelCase lives only here.

Source: the "RPC Protocol" part of the multi-language workers specification, and for the flow
methods the context of the newer host.
"""

from __future__ import annotations

EXECUTE = "execute"  # parent to child: {job, context}
SHUTDOWN = "shutdown"  # parent to child: end, as at the end of stdin
CANCEL = "cancel"  # parent to child, a notification: stop if you can
NEXT = "next"  # parent to child, between two jobs of one process: true when it can take another
# Child to parent, only to a parent that frames by lines: the file has been imported and the handler
# is about to be called.  A request where `execute` says CONFIRM_START: an error as the answer says
# that the handler must not be called.  Elsewhere a notification.
STARTED = "started"
CONFIRM_START = "confirmStart"  # true in the parameters of `execute`
# Child to parent, a notification between or during the jobs of one process: {jobId, message}, of a
# job that has its answer and has left something behind that failed.
LEFT_BEHIND = "leftBehind"

STATE_GET = "ctx.state.get"  # {key}
STATE_SET = "ctx.state.set"  # {key, value, opts?: {ttl}}
STATE_DELETE = "ctx.state.delete"  # {key}
STATE_INCR = "ctx.state.incr"  # {key, by}
LOG = "ctx.logger.log"  # {level, message, metadata}
FLOW_EMIT = "ctx.flow.emit"  # {trigger, payload}
EMIT = "ctx.emit"  # {event: {type, data: {name, ...}}}, what older hosts answer
FLOW_START = "ctx.flow.startFlow"  # {flowName, payload}
FLOW_CANCEL = "ctx.flow.cancelFlow"  # {flowName, runId}
FLOW_CANCEL_OWN = "ctx.flow.cancel"  # {}
FLOW_RESTART = "ctx.flow.restartFlow"  # {flowName, runId}
FLOW_IS_RUNNING = "ctx.flow.isRunning"  # {flowName?, runId?, excludeRunIds?}
FLOW_RUNNING = "ctx.flow.getRunningFlows"  # {flowName?, excludeRunIds?}
FLOW_STATS = "ctx.flow.getFlowStats"  # {flowName}
FLOW_ALL_STATS = "ctx.flow.getAllFlowStats"  # {sortBy?, order?, limit?, offset?}
FLOW_HAS_STATS = "ctx.flow.hasFlowStats"  # {flowName}

LOG_LEVELS = ("debug", "info", "warn", "error")

# attribute of the context -> its name in the parameter `context` of `execute`
CONTEXT_FIELDS = {
    "job_id": "jobId",
    "queue": "queue",
    "flow_id": "flowId",
    "flow_name": "flowName",
    "step_name": "stepName",
    "step_id": "stepId",
    "attempt": "attempt",
    "trigger": "trigger",
    "await_config": "awaitConfig",
}

# Set by every parent that runs a worker: the process is a child and its stdio is the wire.
ENV_CHILD = "NUXT_QUEUE_CHILD_PROCESS"
# Set to "lines" by a parent that frames by newline, whatever the size: no acknowledgement needed.
ENV_FRAMING = "NQ_RPC_FRAMING"
# The longest line, in bytes, that a parent reads which frames by newline: `worker.max_message`.
ENV_MAX_MESSAGE = "NQ_MAX_MESSAGE"
# Set to "1" by a parent that has one process run one job after another.
ENV_REUSE = "NQ_REUSE"
# A descriptor that takes the worker's stdout, so that the parent can tell it from stderr.
ENV_STDOUT_FD = "NQ_STDOUT_FD"
# "<read>,<write>": the descriptors of the wire, when it is not on stdin and stdout.
ENV_WIRE_FDS = "NQ_WIRE_FDS"
