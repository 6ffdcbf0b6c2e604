"""Runs the tests of mutants, each in a copy, and says which of them nobody noticed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from tests.mutants.listing import Mutant
from tests.mutants.scratch import Scratch

TIMEOUT_S = 240.0
_PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no", "-rfE")
_FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - (.*))?$", re.MULTILINE)
_NO_TEST_RAN = "no test ran"


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant.

    Attributes:
        mutant: The change.
        outcome: `killed`, `SURVIVED`, or `no verdict` when the trial proves nothing.
        detail: The test that failed and its reason, or why there is no verdict.
    """

    mutant: Mutant
    outcome: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.outcome:10}  {self.mutant.label}\n{'':12}{self.mutant.promise}" + (
            f"\n{'':12}{self.detail}" if self.detail else ""
        )


class Trials:
    """Tries mutants, several at a time.

    Args:
        root: The folder of the project.
        folder: An empty folder for the copies.
        at_once: How many copies are used at a time.
        timeout_s: Seconds that the tests of one mutant may take.
    """

    def __init__(
        self, root: Path, folder: Path, *, at_once: int = 2, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._at_once, self._timeout_s = at_once, timeout_s
        self._free: SimpleQueue[Scratch] = SimpleQueue()
        for number in range(at_once):
            self._free.put(Scratch(root, folder / f"copy{number}"))

    def run(
        self, mutants: Sequence[Mutant], tell: Callable[[Verdict], None] = lambda _: None
    ) -> list[Verdict]:
        """Run the tests without any change, then once for each mutant.

        Args:
            mutants: The changes to try.
            tell: Called with each verdict when it is known.
        """
        files = sorted({test.partition("::")[0] for each in mutants for test in each.tests})
        named = {test for each in mutants for test in each.tests}
        with ThreadPoolExecutor(self._at_once) as pool:
            groups = [[test for test in named if test.startswith(f"{file}::")] for file in files]
            failing = {
                test: why for found in pool.map(self._failing, groups) for test, why in found
            }

            def judge(mutant: Mutant) -> Verdict:
                verdict = self._judge(mutant, failing)
                tell(verdict)
                return verdict

            return list(pool.map(judge, mutants))

    def _failing(self, tests: Sequence[str]) -> Iterable[tuple[str, str]]:
        """Return the tests that fail without any change, with their reasons."""
        scratch = self._free.get()
        try:
            status, written = scratch.run(*_PYTEST, *tests, timeout_s=self._timeout_s * 2)
        finally:
            self._free.put(scratch)
        if status == 0:
            return []
        found = _FAILED.findall(written)
        return found or [(test, _last_line(written)) for test in tests]

    def _judge(self, mutant: Mutant, failing: dict[str, str]) -> Verdict:
        broken = {name.partition("[")[0]: why for name, why in failing.items()}
        for test in mutant.tests:
            if why := failing.get(test, broken.get(test)):
                return Verdict(mutant, "no verdict", f"{test} fails without the change: {why}")
        scratch = self._free.get()
        try:
            with scratch.changed(mutant):
                status, written = scratch.run(
                    *_PYTEST, "-x", *mutant.tests, timeout_s=self._timeout_s
                )
        except LookupError as error:
            return Verdict(mutant, "no verdict", str(error))
        finally:
            self._free.put(scratch)
        if status == 0:
            return Verdict(mutant, "SURVIVED", f"passed: {', '.join(mutant.tests)}")
        if status is None:
            return Verdict(mutant, "killed", f"by its timeout, {self._timeout_s:.0f} s")
        if status == 1 and (found := _FAILED.search(written)):
            return Verdict(mutant, "killed", f"by {found[1]}: {found[2] or ''}".removesuffix(": "))
        return Verdict(mutant, "no verdict", _last_line(written))


def _last_line(written: str) -> str:
    return (written.strip().splitlines() or [_NO_TEST_RAN])[-1]
