"""Plays host to any command, and says clause by clause what it gets right of the protocol."""

from nuxt_queue.conformance.clauses import Clause, Report, Verdict
from nuxt_queue.conformance.examination import examine

__all__ = ["Clause", "Report", "Verdict", "examine"]
