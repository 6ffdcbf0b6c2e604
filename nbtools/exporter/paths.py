"""Which names are bound at a point of a module, over all paths that lead to it.

A name is `ALWAYS` bound, bound on `SOME` paths, or not bound.  A branch is followed and then
undone, so what it costs depends on what it binds, not on how many names the module has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

__all__ = ["ALWAYS", "SOME", "Bound", "Change", "Paths"]

Bound = bool | None
ALWAYS, SOME = True, False
Change = dict[str, Bound]
"""The names that a path binds or deletes, each with what is true of it at the path's end."""


class Paths:
    """The names of one module while its statements are followed in the order in which they run.

    Attributes:
        is_reachable: Whether any path leads to the point that is looked at.
    """

    def __init__(self) -> None:
        self._bound: dict[str, bool] = {}
        self._log: list[tuple[str, Bound]] = []
        self._open = 0  # branches under way: outside of them nothing has to be undone
        self.is_reachable = True

    def __getitem__(self, name: str) -> Bound:
        return self._bound.get(name)

    def set(self, name: str, value: Bound) -> None:
        """Say what is true of a name from here on; None when it is not bound."""
        before = self._bound.get(name)
        if before is value:
            return
        if self._open:
            self._log.append((name, before))
        if value is None:
            del self._bound[name]
        else:
            self._bound[name] = value

    def mark(self) -> int:
        """Return a point to compare with later; valid inside of the branch that it is made in."""
        return len(self._log)

    def since(self, mark: int) -> Change:
        """Return what has changed since a point."""
        return {name: self._bound.get(name) for name, _ in self._log[mark:]}

    def follow(self, path: Callable[[], None], begin: Change | None = None) -> Change | None:
        """Follow a path that may be taken, and undo it.

        Args:
            path: Follows the statements.
            begin: What is different at its beginning.

        Returns:
            What it changes; None when no statement behind it is reached from its end.
        """
        was_reachable, mark = self.is_reachable, len(self._log)
        self._open += 1
        for name, value in (begin or {}).items():
            self.set(name, value)
        path()
        change = self.since(mark) if self.is_reachable else None
        for name, before in reversed(self._log[mark:]):
            if before is None:
                self._bound.pop(name, None)
            else:
                self._bound[name] = before
        del self._log[mark:]
        self._open -= 1
        self.is_reachable = was_reachable
        return change

    def join(self, changes: Iterable[Change | None]) -> None:
        """Go on behind paths of which one was taken."""
        taken = [change for change in changes if change is not None]
        if not taken:
            self.is_reachable = False
            return
        for name in {name: None for change in taken for name in change}:
            values = {change[name] if name in change else self[name] for change in taken}
            self.set(name, values.pop() if len(values) == 1 else SOME)
