"""The cheapest cut of a network, by the longest flow through it (Dinic, 1970).

Arcs have whole numbers for capacities. The cut is the set of nodes that the source still reaches when no more can flow: of all
cheapest ones the smallest.
"""

from __future__ import annotations

from collections import deque

INFINITE = 1 << 60


class Network:
    """Nodes are numbers; arcs come in pairs, the arc `e` and the way back `e ^ 1`."""

    def __init__(self) -> None:
        self.arcs: list[list[int]] = []  # of each node, by number
        self.to: list[int] = []
        self.room: list[int] = []  # what may still flow

    def node(self) -> int:
        """One more node."""
        self.arcs.append([])
        return len(self.arcs) - 1

    def arc(self, tail: int, head: int, capacity: int) -> None:
        """One more arc."""
        for start, end, room in ((tail, head, capacity), (head, tail, 0)):
            self.arcs[start].append(len(self.to))
            self.to.append(end)
            self.room.append(room)

    def cut(self, source: int, sink: int) -> tuple[int, set[int]]:
        """What the cheapest cut costs (no less than `INFINITE` where there is none), and the nodes on the source's side."""
        flow = 0
        while (level := self._levels(source))[sink] >= 0 and flow < INFINITE:
            flow += self._blocking(source, sink, level)
        return flow, {v for v, depth in enumerate(level) if depth >= 0}

    def _levels(self, source: int) -> list[int]:
        """How many arcs each node is away from the source; -1 where nothing more can flow to."""
        level = [-1] * len(self.arcs)
        level[source] = 0
        queue = deque([source])
        while queue:
            v = queue.popleft()
            for e in self.arcs[v]:
                if self.room[e] and level[self.to[e]] < 0:
                    level[self.to[e]] = level[v] + 1
                    queue.append(self.to[e])
        return level

    def _blocking(self, source: int, sink: int, level: list[int]) -> int:
        """Let flow what can along shortest ways, one way at a time; an arc that has proved useless is not tried again."""
        untried = [list(reversed(arcs)) for arcs in self.arcs]
        flow, way, v = 0, list[int](), source
        while True:
            if v == sink:
                least = min(self.room[e] for e in way)
                flow += least
                for e in way:
                    self.room[e] -= least
                    self.room[e ^ 1] += least
                full = next(k for k, e in enumerate(way) if not self.room[e])
                v = self.to[way[full] ^ 1]
                del way[full:]
                if flow >= INFINITE:
                    return flow
            elif untried[v]:
                e = untried[v][-1]
                if self.room[e] and level[self.to[e]] == level[v] + 1:
                    way.append(e)
                    v = self.to[e]
                else:
                    untried[v].pop()
            elif way:
                v = self.to[way.pop() ^ 1]
                untried[v].pop()
            else:
                return flow
