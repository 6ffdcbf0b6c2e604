"""What is installed, reachable and set on this machine for this project, and how to mend it."""

from nuxt_queue.diagnosis.examine import examine
from nuxt_queue.diagnosis.finding import Finding

__all__ = ["Finding", "examine"]
