"""Linear algebra in emitted Python: NumPy's own functions, and helpers where its results are kept otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lms.core.ir import Node

from .operations import ATOM, Expr, call, join

if TYPE_CHECKING:
    from .function import FunctionWriter

HELPERS = {
    "factored": '''
def factored(a):
    """The factors of a matrix, columns first, and its pivots; of a stack, of each."""
    from scipy.linalg.lapack import get_lapack_funcs
    f, pivots = np.empty_like(a), np.empty(a.shape[:-1], int)
    for k in np.ndindex(a.shape[:-2]):
        found, pivots[k], _ = get_lapack_funcs("getrf", (a,))(a[k])
        f[k] = found.T
    return f, pivots
''',
    "triangular": '''
def triangular(t, b, lower, transposed, unit):
    """Solve with one half of a matrix, or of each of a stack."""
    from scipy.linalg import solve_triangular
    x = np.empty_like(b)
    for k in np.ndindex(t.shape[:-2]):
        x[k] = solve_triangular(t[k], b[k], int(transposed), lower, unit)
    return x
''',
}


def _half(node: Node, parts: list[Expr]) -> Expr:
    return call("triangular", parts, *(str(node.attrs[name]) for name in ("lower", "transposed", "unit")))


def _solve(node: Node, parts: list[Expr]) -> Expr:
    a, _, _, b = parts
    if node.attrs["transposed"]:
        return join(f"np.linalg.solve(np.swapaxes({a.text}, -1, -2), {b.text})", parts)
    return call("np.linalg.solve", [a, b])


ARRAYS: dict[str, Callable[[Node, list[Expr]], Expr]] = {
    "solve": _solve,
    "det": lambda node, parts: call("np.linalg.det", parts[:1]),
    "logdet": lambda node, parts: join(f"{call('np.linalg.slogdet', parts[:1]).text}[1]", parts),
    "triangular": _half,
    "pinv": lambda node, parts: call("np.copy", parts[1:]),
    "cholesky": lambda node, parts: call("np.linalg.cholesky", parts),
}


def _several(w: FunctionWriter, node: Node) -> None:
    """Factorisations with more than one part."""
    parts = w.take(node.operands)[:1]
    text = {"lu": call("factored", parts), "eigh": call("np.linalg.eigh", parts), "qr": call("np.linalg.qr", parts),
            "svd": call("np.linalg.svd", parts, f"full_matrices={node.attrs.get('full')}")}[node.op.name].text
    w.results(node, text, parts, w.effects.of(node))
    if node.op.name == "eigh":
        name = w.bound[node.results[1]].text
        w.write(f"{name} = np.swapaxes({name}, -1, -2)")


_INTO: dict[str, Callable[[Node, list[str]], str]] = {
    "lu_into": lambda node, x: f"{x[0]}[...], {x[1]}[...] = factored({x[2]}.T)",
    "triangular_into": lambda node, x: f"{x[0]}[...] = " + _half(node, [Expr(x[2]), Expr(x[1])]).text,
    "cholesky_into": lambda node, x: f"{x[0]}[...] = np.linalg.cholesky({x[1]})",
    "eigh_into": lambda node, x: f"{x[0]}[...], {x[1]}.T[...] = np.linalg.eigh({x[2]}.T)",
    "svd_into": lambda node, x: (f"{x[0]}.T[...], {x[1]}[...], {x[2]}.T[...] = "
                                 f"np.linalg.svd({x[3]}.T, full_matrices={node.attrs['full']})"),
    "qr_into": lambda node, x: f"{x[0]}[...], {x[1]}[...] = np.linalg.qr({x[2]})",
}


def _into(w: FunctionWriter, node: Node) -> None:
    parts = w.take(node.operands)
    w.statement(_INTO[node.op.name](node, [x.at(ATOM) for x in parts]), parts, w.effects.of(node))


STATEMENTS: dict[str, Callable[[FunctionWriter, Node], None]] = {
    **{name: _several for name in ("lu", "eigh", "qr", "svd")}, **{name: _into for name in _INTO},
}
