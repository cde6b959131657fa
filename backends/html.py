"""The picture and the text of a program on one page that draws itself, without a network, in any browser.

The page carries Graphviz, compiled to WebAssembly (`viz/`, with its licence). Pointing at a box shows its line, and back.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from lms.core.ir import Node, Program, sum_types
from lms.core.text import Printer, data_text

from . import dot


def page(program: Program) -> str:
    """The page, complete."""
    listing = "\n".join(_listing(program))
    return _PAGE.format(title=html.escape(program.entry), listing=listing, viz=_viz(), style=_STYLE,
                        script=_SCRIPT.replace("SOURCE", _in_script(dot.emit(program))))


@cache
def _viz() -> str:
    return (files(__package__) / "viz" / "viz-global.js").read_text(encoding="utf-8")


def _in_script(text: str) -> str:
    """A JavaScript string that cannot end the script it stands in."""
    return json.dumps(text).replace("<", "\\u003c")


class _Marked(Printer):
    """Prints each node with its number in front, the number of its box."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self.next = first

    def node(self, node: Node) -> Iterator[str]:
        mark, self.next = f"\0{self.next}\0", self.next + 1
        first, *rest = super().node(node)
        yield mark + first
        yield from rest


def _listing(program: Program) -> Iterator[str]:
    """The text as lines of HTML; those that open a node bear its box's name and the place in the source as a tooltip."""
    for t in sum_types(program).values():
        yield html.escape(data_text(t))
    number = 0
    for name, function in program.functions.items():
        printer = _Marked(number)
        for line in printer.function(function):
            margin, marked, rest = line.partition("\0")
            if marked:
                k, _, rest = rest.partition("\0")
                yield f'{margin}<span data-node="n{k}">{html.escape(rest)}</span>'
            else:
                yield html.escape(("entry " if name == program.entry and line.startswith("def ") else "") + line)
        number = printer.next
        yield ""


_STYLE = """
body { margin: 0; font: 13px/1.45 Helvetica, Arial, sans-serif; color: #1f2933; display: flex; height: 100vh; }
#picture { flex: 3; overflow: auto; background: #fff; }
#text { flex: 2; overflow: auto; margin: 0; padding: 12px; background: #f6f8f9; border-left: 1px solid #d5dbdf;
        font: 12px/1.5 ui-monospace, Menlo, Consolas, monospace; }
#bar { position: fixed; bottom: 8px; left: 8px; }
#bar button { font: inherit; }
[data-node] { cursor: pointer; }
[data-node].here { background: #ffe98a; }
g.here polygon, g.here ellipse { stroke: #d9480f; stroke-width: 3; }
"""

_SCRIPT = """
const source = SOURCE;
const picture = document.getElementById("picture"), text = document.getElementById("text");
function show(id, from) {
  document.querySelectorAll(".here").forEach(e => e.classList.remove("here"));
  const box = document.getElementById(id), line = text.querySelector(`[data-node="${id}"]`);
  [box, line].forEach(e => e && e.classList.add("here"));
  const far = from === "picture" ? line : box;
  if (far) far.scrollIntoView({block: "nearest", inline: "nearest"});
}
Viz.instance().then(viz => {
  const svg = viz.renderSVGElement(source);
  const full = [svg.width.baseVal.value, svg.height.baseVal.value];
  let zoom = 1;
  function scale(z) { zoom = z; svg.setAttribute("width", full[0] * z); svg.setAttribute("height", full[1] * z); }
  document.getElementById("out").onclick = () => scale(zoom / 1.25);
  document.getElementById("in").onclick = () => scale(zoom * 1.25);
  document.getElementById("fit").onclick = () => scale(picture.clientWidth / full[0]);
  picture.append(svg);
  if (full[0] > picture.clientWidth && picture.clientWidth) scale(Math.max(0.4, picture.clientWidth / full[0]));
  svg.querySelectorAll("g.node").forEach(g => g.addEventListener("click", () => show(g.id, "picture")));
  text.querySelectorAll("[data-node]").forEach(s => s.addEventListener("click", () => show(s.dataset.node, "text")));
}).catch(error => { picture.textContent = "The picture cannot be drawn: " + error; });
"""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<div id="picture"></div>
<div id="bar"><button id="out">&minus;</button> <button id="in">+</button> <button id="fit">fit</button></div>
<pre id="text">
{listing}</pre>
<script>
{viz}
</script>
<script>{script}</script>
</body>
</html>
"""
