"""The program as a picture: blocks as clusters, data as solid edges, order that effects impose as dashed ones.

The forward and backward halves of derivatives have a colour each. Constants stand in the labels of what uses them.
"""

from __future__ import annotations

import linecache
from collections.abc import Sequence
from pathlib import Path

import graphviz  # type: ignore[import-untyped]  # ships without types

from lms.core import primitives as p
from lms.core.effects import Access, Effects
from lms.core.errors import LmsError
from lms.core.ir import Block, Function, Node, Program, Value, walk
from lms.core.text import Printer, literal

COLOURS = {"": "#ffffff", "forward": "#d7e8fb", "backward": "#fde0c5"}
FONT = {"fontname": "Helvetica,Arial,sans-serif", "fontsize": "11"}
LONGEST = 40  # a label's line


def emit(program: Program) -> str:
    """The picture in the language of Graphviz."""
    return _Picture(program).source()


def write(program: Program, path: str | Path) -> Path:
    """Write the picture to a file, in the format its suffix says: `.dot`, `.html` (draws itself in any browser), `.svg`, `.png`.

    `.svg` and `.png` need Graphviz' program `dot`; without it, `LmsError`.
    """
    path = Path(path)
    if path.suffix == ".html":
        from .html import page  # carries the drawing program along, which the other formats do without

        path.write_text(page(program), encoding="utf-8")
    elif path.suffix == ".dot":
        path.write_text(emit(program), encoding="utf-8")
    elif path.suffix in (".svg", ".png"):
        try:
            path.write_bytes(graphviz.Source(emit(program)).pipe(format=path.suffix[1:]))
        except graphviz.ExecutableNotFound:
            raise LmsError(f"cannot write {path.name}: the program `dot` is not found on PATH",
                           fix="install Graphviz, or write .html, which draws itself in any browser, or .dot") from None
    else:
        raise LmsError(f"cannot write {path.name}: a picture ends in .dot, .html, .svg or .png")
    return path


class _Picture:
    """Draws a program; nodes are called `n0`, `n1`, ... in the order of the text."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.effects = Effects(program)
        self.graph = graphviz.Digraph("program", graph_attr={"compound": "true", "rankdir": "TB", "newrank": "true", **FONT},
                                      node_attr={"shape": "box", "style": "filled,rounded", "fillcolor": COLOURS[""],
                                                 "color": "#5b6770", "margin": "0.14,0.06", "height": "0.3", **FONT},
                                      edge_attr={"color": "#5b6770", "arrowsize": "0.6", **FONT})
        self.identity: dict[Node, str] = {}
        self.ports: dict[Value, list[str]] = {}  # the points a value's edges leave from
        self.leaving: dict[Block, str] = {}  # the point where a block hands on its results
        self.inner: dict[Node, str] = {}  # the cluster of a node that holds blocks
        self.drawn: set[tuple[str, str]] = set()
        self.halves: set[str] = set()
        self.blocks = 0

    def source(self) -> str:
        for name, function in self.program.functions.items():
            self.function(name, function)
        self.legend()
        return str(self.graph.source)

    # ----------------------------------------------------------------------------------------- clusters

    def function(self, name: str, function: Function) -> None:
        self.show = Printer()
        list(self.show.function(function))  # values have the names they have in the text
        for node in walk(function.body):
            self.identity[node] = f"n{len(self.identity)}"
        label = f"{name} (entry)" if name == self.program.entry else name
        with self.cluster(self.graph, label, "#2f3e46", "#f8fafb") as inside:
            self.block(inside, function.body, "return")

    def cluster(self, graph: graphviz.Digraph, label: str, colour: str = "#9aa5ad", fill: str = "#ffffff") -> graphviz.Digraph:
        self.blocks += 1
        return graph.subgraph(name=f"cluster_{self.blocks}", graph_attr={
            "label": graphviz.escape(label), "labeljust": "l", "style": "rounded,filled", "color": colour, "fillcolor": fill})

    def block(self, graph: graphviz.Digraph, block: Block, leave: str, inits: dict[Value, Value] | None = None) -> None:
        """Parameters, nodes, results, and the order among the nodes that effects impose."""
        for v in block.params:
            point = f"p{len(self.ports)}"
            graph.node(point, graphviz.escape(self.show.typed(v)), shape="ellipse", style="filled", fillcolor="#eef1f3")
            self.ports[v] = [point]
            if inits and v in inits:
                self.edges(inits[v], point)
        for node in block.nodes:
            if node.op is not p.array.const:
                self.node(graph, node)
        if block.results:
            point = f"r{len(self.leaving)}"
            graph.node(point, graphviz.escape(f"{leave} {', '.join(map(self.named, block.results))}"), shape="plaintext",
                       style="", fillcolor="none")
            for v in dict.fromkeys(block.results):
                self.edges(v, point)
            self.leaving[block] = point
        self.order(block)

    def node(self, graph: graphviz.Digraph, node: Node) -> None:
        point = self.identity[node]
        self.halves |= {node.half} - {""}
        if not node.blocks:
            self.shape(graph, node, point)
            self.ports.update((v, [point]) for v in node.results)
            return
        self.inner[node] = f"cluster_{self.blocks + 1}"
        with self.cluster(graph, node.op.name, fill=COLOURS[node.half]) as inside:
            self.shape(inside, node, point)
            carried = node.operands[{"for": 3, "while": 0}.get(node.op.name, len(node.operands)):]
            for label, block in zip(_LABELS.get(node.op.name, [""] * len(node.blocks)), node.blocks, strict=True):
                params = block.params[1:] if node.op is p.control.for_ else block.params
                with self.cluster(inside, label) as body:
                    self.block(body, block, "yield", dict(zip(params, carried, strict=False)))
                if node.op is p.control.for_:
                    self.graph.edge(point, self.ports[block.params[0]][0])
                below = [self.ports[v][0] for v in params] or [
                    self.identity[each] for each in block.nodes if each.op is not p.array.const]
                for each in below:  # keeps blocks below what decides about them
                    self.graph.edge(point, each, style="invis")
        ends = [self.leaving[b] for b in (node.blocks if node.op is p.control.if_ else node.blocks[-1:]) if b in self.leaving]
        self.ports.update((v, ends or [point]) for v in node.results)

    def shape(self, graph: graphviz.Digraph, node: Node, point: str) -> None:
        """The box of a node, with edges from what it uses."""
        graph.node(point, graphviz.escape(self.label(node)), id=point, tooltip=graphviz.escape(self.tooltip(node)),
                   fillcolor=COLOURS[node.half], **({"style": "filled", "shape": "hexagon"} if node.blocks else {}),
                   **({"color": "#b3423a"} if self.effects.of(node).changes and not node.blocks else {}))
        used = node.operands[:{"for": 3, "while": 0}.get(node.op.name)] if node.blocks else node.operands
        for v in dict.fromkeys(used):
            self.edges(v, point)

    def edges(self, v: Value, to: str) -> None:
        for start in self.ports.get(v, ()):
            if (start, to) not in self.drawn:
                self.drawn.add((start, to))
                self.graph.edge(start, to, tooltip=graphviz.escape(self.show.typed(v)))

    # ------------------------------------------------------------------------------------------ effects

    def order(self, block: Block) -> None:
        """A dashed edge from each node to the next that must stay behind it, without those that follow from others."""
        chain = list[tuple[Node, Access, int]]()  # with the nodes known to come before, as bits
        for node in block.nodes:
            access = self.effects.of(node)
            if not access.pure or access.reads:
                before = self.behind(chain, access, self.identity[node], self.inner.get(node, ""))
                chain.append((node, access, before))
        if block.results:  # which show what was written last
            self.behind(chain, Access(reads=frozenset().union(*map(self.effects.roots, block.results))), self.leaving[block])

    def behind(self, chain: Sequence[tuple[Node, Access, int]], access: Access, point: str, cluster: str = "") -> int:
        """Edges from the nodes of the chain that something must stay behind; and all nodes known to come before it."""
        before = 0
        for k in reversed(range(len(chain))):
            earlier, other, known = chain[k]
            if not before >> k & 1 and access.conflicts(other):
                self.dashed(earlier, point, cluster)
                before |= known | 1 << k
        return before

    def dashed(self, earlier: Node, later: str, cluster: str = "") -> None:
        ends = [self.leaving[b] for b in earlier.blocks[-1:] if b in self.leaving]
        clip = {"ltail": self.inner.get(earlier, ""), "lhead": cluster}
        self.graph.edge(ends[0] if ends else self.identity[earlier], later, style="dashed", color="#b3423a",
                        tooltip="must stay in this order", **{k: v for k, v in clip.items() if v})

    # ------------------------------------------------------------------------------------------- labels

    def named(self, v: Value) -> str:
        if v.node is not None and v.node.op is p.array.const:
            return literal(v.node.attrs["value"], v.node.attrs["type"])
        return self.show.name(v)

    def label(self, node: Node) -> str:
        results = ", ".join(map(self.show.name, node.results))
        callee = f" @{node.attrs['callee']}" if "callee" in node.attrs else ""
        used = node.operands[:3] if node.op is p.control.for_ else () if node.op is p.control.while_ else node.operands
        text = f"{node.op.name}{callee} {', '.join(map(self.named, used))}".rstrip()
        return (f"{results} =\n" if results else "") + _shorten(text)

    def tooltip(self, node: Node) -> str:
        lines = [self.show.head(node)]
        if node.span:
            lines += [str(node.span), linecache.getline(node.span.file, node.span.line).strip()]
        return "\n".join(filter(None, lines))

    def legend(self) -> None:
        with self.cluster(self.graph, "legend", "#c5ccd1") as inside:
            inside.node("legend_a", "operation", fillcolor=COLOURS[""])
            inside.node("legend_b", "operation", fillcolor=COLOURS[""])
            inside.node("legend_c", "writes", color="#b3423a")
            inside.edge("legend_a", "legend_b", " data")
            inside.edge("legend_b", "legend_c", " effect", style="dashed", color="#b3423a")
            for half in sorted(self.halves, reverse=True):
                inside.node(f"legend_{half}", f"{half} half", fillcolor=COLOURS[half])


_LABELS: dict[str, Sequence[str]] = {"if": ("then", "else"), "for": ("body",), "while": ("condition", "body")}


def _shorten(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
