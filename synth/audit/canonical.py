"""One form for all graphs that are equal after renaming: colour refinement, then ties broken exactly.

    canonical(colours, edges) -> str

Nodes are numbered from 0; a colour says what a node is whatever its name, an edge has a label. Two graphs
get the same form exactly when some renumbering makes them equal, as long as their ties take no more than
`LIMIT` refinements to break; beyond that only refined colours are compared, which may call two different,
very regular graphs equal but never two equal ones different. Individualisation and refinement are McKay's
(Practical graph isomorphism, 1981), without his pruning but for twins.
"""

from __future__ import annotations

from collections.abc import Sequence

from mocktrial.mocktools.values import stable

LIMIT = 400
Edge = tuple[int, int, str]


def canonical(colours: Sequence[str], edges: Sequence[Edge]) -> str:
    graph = _Graph(list(colours), list(edges))
    start = graph.refined(graph.ranked([(colour,) for colour in colours]))
    return graph.least(start) or graph.coarse(start)


class _Graph:
    def __init__(self, colours: list[str], edges: list[Edge]) -> None:
        self.colours, self.edges, self.left = colours, edges, LIMIT
        self.around: list[list[tuple[str, int]]] = [[] for _ in colours]
        for source, target, label in edges:
            self.around[source].append((f">{label}", target))
            self.around[target].append((f"<{label}", source))

    @staticmethod
    def ranked(keys: Sequence[tuple[object, ...]]) -> list[int]:
        order = {key: rank for rank, key in enumerate(sorted(set(keys)))}
        return [order[key] for key in keys]

    def refined(self, ranks: list[int]) -> list[int]:
        """Split classes by the classes around their nodes until nothing splits."""
        classes = len(set(ranks))
        while True:
            keys = [
                (ranks[node], tuple(sorted((label, ranks[other]) for label, other in self.around[node])))
                for node in range(len(ranks))
            ]
            ranks = self.ranked(keys)
            if len(set(ranks)) == classes:
                return ranks
            classes = len(set(ranks))

    def least(self, ranks: list[int]) -> str:
        """The smallest form over all ways to break the ties; empty when that takes too long."""
        tied = self._tied(ranks)
        if not tied:
            return self.coarse(ranks)
        best = ""
        for node in tied[:1] if self._twins(tied) else tied:
            self.left -= 1
            if self.left < 0:
                return ""
            form = self.least(self.refined([2 * rank + (place != node) for place, rank in enumerate(ranks)]))
            if not form:
                return ""
            best = min(best, form) if best else form
        return best

    def coarse(self, ranks: list[int]) -> str:
        nodes = sorted(zip(ranks, self.colours, strict=True))
        edges = sorted((ranks[source], ranks[target], label) for source, target, label in self.edges)
        return stable([[list(node) for node in nodes], [list(edge) for edge in edges]])

    def _tied(self, ranks: list[int]) -> list[int]:
        """The first class with several nodes."""
        classes: dict[int, list[int]] = {}
        for node, rank in enumerate(ranks):
            classes.setdefault(rank, []).append(node)
        return next((classes[rank] for rank in sorted(classes) if len(classes[rank]) > 1), [])

    def _twins(self, nodes: list[int]) -> bool:
        """Whether the nodes have the very same neighbours, so that it does not matter which goes first."""
        first = sorted(self.around[nodes[0]])
        return all(sorted(self.around[node]) == first for node in nodes[1:])
