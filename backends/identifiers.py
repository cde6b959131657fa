"""Identifiers of a generated text: close to the user's names, and each for one thing at a time."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager


def unused(base: str, k: int, *taken: Container[str]) -> tuple[str, int]:
    """`base` with the first number from `k` on that makes it new (0 is none), and that number."""
    name = f"{base}_{k}" if k else base
    while any(name in each for each in taken):
        k += 1
        name = f"{base}_{k}"
    return name, k


class Scopes:
    """The variables of one function: names made in a block are free again when it ends."""

    def __init__(self, spelled: Callable[[str, str], str], *taken: Container[str]) -> None:
        self.spelled, self.taken = spelled, taken
        self.open: list[set[str]] = [set()]
        self.tried: dict[str, int] = {}  # the last number each base was tried with

    def new(self, hint: str, otherwise: str) -> str:
        """A name close to a hint, or to `otherwise` where the hint has no letters."""
        base = self.spelled(hint, otherwise)
        name, self.tried[base] = unused(base, self.tried.get(base, 0), *self.taken, *self.open)
        self.hold(name)
        return name

    def hold(self, name: str) -> None:
        self.open[-1].add(name)

    def free(self, name: str) -> None:
        self.open[-1].discard(name)

    @contextmanager
    def block(self) -> Iterator[None]:
        tried = dict(self.tried)
        self.open.append(set())
        try:
            yield
        finally:
            self.open.pop()
            self.tried = tried
