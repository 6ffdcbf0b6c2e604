"""`make mutants`: breaks each promise once and looks whether a test notices.

Exit status: 0 when every mutant was killed, 1 when one survived or could not be tried.
"""

from __future__ import annotations

import argparse
import collections
import tempfile
import time
from pathlib import Path

from tests.mutants.listing import ROOT, chosen, read
from tests.mutants.trial import Trials


def main() -> int:
    """Try the mutants that the command line chooses."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("words", nargs="*", help="only mutants that have one of these words")
    parser.add_argument("--at-once", type=int, default=2, help="copies used at a time")
    asked = parser.parse_args()
    mutants = chosen(read(), asked.words)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="nq-mutants-") as folder:
        trials = Trials(ROOT, Path(folder).resolve(), at_once=asked.at_once)
        verdicts = trials.run(mutants, lambda verdict: print(verdict, flush=True))
    counts = collections.Counter(each.outcome for each in verdicts)
    bad = [each for each in verdicts if each.outcome != "killed"]
    if bad:
        print("\nNot killed:", *bad, sep="\n")
    print(
        f"\n{len(verdicts)} mutants: {counts['killed']} killed, {counts['SURVIVED']} survived, "
        f"{counts['no verdict']} without a verdict, {time.monotonic() - began:.0f} s"
    )
    return 1 if bad or not verdicts else 0


if __name__ == "__main__":
    raise SystemExit(main())
