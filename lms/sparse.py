"""Sparse Jacobians and Hessians: a pattern, a colouring, and one sweep for the columns of up to eight colours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lms.ad import api as ad
from lms.ad.jacobian import DEAR, LANES
from lms.ad.rules.complex import is_complex
from lms.core.data import dataclass
from lms.core.errors import ShapeError, StagingTypeError, here
from lms.staging import trees
from lms.staging.arguments import Signature
from lms.staging.control.loops import fori_loop
from lms.staging.joins import describe
from lms.staging.library.creation import zeros
from lms.staging.library.shaping import reshape

from .api import Staged, inputs
from .derivatives import Derived, as_staged, grad, kept

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Argnums = int | str | Sequence[int | str]


def sparse_jacobian(f: Callable[..., Any], argnums: Argnums = 0, pattern: Any = None) -> SparseDerivative:
    """The Jacobian of a function as a SciPy sparse array, of shape (elements of the result, elements of the arguments).

    Which entries may differ from zero is found by running the program on sets of elements, once for some shapes; columns that
    share no row (or rows that share no column) go through together. Every call checks the product with a random vector, so that
    a pattern that no longer holds is found again. `pattern`, a sparse or dense array, says the entries instead; one that lacks
    some is a `ValueError`. Elements are numbered row by row, through all results and all arguments of `argnums`.

        lms.sparse_jacobian(lambda x: x[1:] - x[:-1])(np.ones(1000))      # 1998 entries, by one sweep

    Source: Curtis, Powell and Reid (1974); Gebremedhin, Manne and Pothen (SIAM Review 47, 2005).
    """
    return SparseDerivative(as_staged(f), tuple(ad.numbers(argnums)), pattern, symmetric=False)


def sparse_hessian(f: Callable[..., Any], argnums: Argnums = 0, pattern: Any = None) -> SparseDerivative:
    """The second derivatives of a function with a float result as a SciPy sparse array; see `sparse_jacobian`.

    The colouring is symmetric: of every pair of mirrored entries one is read.

        lms.sparse_hessian(lambda x: np.sum(x[1:] * x[:-1]))(np.ones(1000))     # off the diagonal

    Source: Gebremedhin, Manne and Pothen (SIAM Review 47, 2005), section 4: star colouring.
    """
    numbers = tuple(ad.numbers(argnums))
    return SparseDerivative(as_staged(grad(f, numbers)), numbers, pattern, symmetric=True)


Entries = tuple[np.ndarray, np.ndarray]  # where rows start, and the columns of each


@dataclass(frozen=True)
class Plan:
    """How a sparse matrix is evaluated: its pattern, the mode, where its entries stand in the products, and the seed.

    Forward the seed has a column for every colour, then a random one, then zeros up to a multiple of the lanes; in reverse it
    has rows.
    """

    start: np.ndarray
    indices: np.ndarray
    shape: tuple[int, int]
    mode: str
    places: tuple[np.ndarray, np.ndarray]
    seed: np.ndarray
    colours: int

    @property
    def probe(self) -> np.ndarray:
        """The random direction, or weights."""
        return self.seed[:, self.colours] if self.mode == "forward" else self.seed[self.colours]


class SparseDerivative:
    """What `sparse_jacobian` and `sparse_hessian` give: called like the function, it gives a SciPy `csr_array`."""

    def __init__(self, f: Staged[..., Any], argnums: tuple[int | str, ...], pattern: Any, symmetric: bool) -> None:
        self.function, self.argnums, self.given, self.symmetric = f, argnums, pattern, symmetric
        self._plans: dict[Any, Plan] = {}

    def __call__(self, *args: Any) -> csr_array:
        bound = self.function.signature.bind(args, {})
        program = self.function.found(bound).staged
        key = bound.key, tuple(np.shape(v) for v in bound.values)
        plan = self._plans.get(key)
        found = None if plan is None else self._evaluate(plan, args)
        if found is None:
            plan = self._plans[key] = self._plan(args)
            found = self._evaluate(plan, args)
        if found is None:
            raise ShapeError(f"the pattern of {self.function.signature.name} lacks entries that differ from zero here", here(),
                             fix="leave it out, and it is found" if self.given is not None else "use `lms.jacobian`")
        if program.main.mut:
            self.function(*args)  # memory is left as the function leaves it
        return found

    def pattern(self, *args: Any) -> csr_array:
        """The entries that may differ from zero, as a sparse array of bools."""
        from scipy.sparse import csr_array

        plan = self._plan(args)
        return csr_array((np.ones(len(plan.indices), bool), plan.indices, plan.start), shape=plan.shape)

    def colours(self, *args: Any) -> int:
        """How many directions are evaluated instead of one for each element."""
        return self._plan(args).colours

    # ------------------------------------------------------------------------------------- planning

    def _plan(self, args: Sequence[Any]) -> Plan:
        from . import colouring

        start, indices, shape = self._entries(args)
        rows = _rows(start)
        if self.symmetric:
            colour = np.asarray(colouring.stars(start, indices))
            return self._forward(start, indices, shape, colour, _mirrored(rows, indices, colour))
        back_start, back = _transposed(start, indices, shape[1])
        colour = np.asarray(colouring.columns(back_start, back, start, indices))
        other = np.asarray(colouring.columns(start, indices, back_start, back))
        if _count(colour) <= DEAR * _count(other):
            return self._forward(start, indices, shape, colour, (rows, colour[indices]))
        count = _count(other)
        seed = np.zeros((count + 1, shape[0]))
        seed[other, np.arange(shape[0])] = 1.0
        seed[count] = _random(shape[0])
        return Plan(start, indices, shape, "reverse", (other[rows], indices), seed, count)

    def _forward(self, start: np.ndarray, indices: np.ndarray, shape: tuple[int, int], colour: np.ndarray,
                 places: tuple[np.ndarray, np.ndarray]) -> Plan:
        count = _count(colour)
        seed = np.zeros((shape[1], -(-(count + 1) // LANES) * LANES))
        seed[np.arange(shape[1]), colour] = 1.0
        seed[:, count] = _random(shape[1])
        return Plan(start, indices, shape, "forward", places, seed, count)

    def _entries(self, args: Sequence[Any]) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
        """The pattern in compressed rows, columns in order; for a symmetric matrix with its mirror image and the diagonal."""
        from scipy.sparse import coo_array, csr_array, eye_array

        if self.given is not None:
            pattern = csr_array(self.given).astype(bool)
        else:
            sets, columns = self._sets(args)
            rows = np.repeat(np.arange(len(sets)), [len(s) for s in sets])
            found = np.fromiter((k for s in sets for k in s), np.int64, len(rows))
            pattern = coo_array((np.ones(len(rows), bool), (rows, found)), shape=(len(sets), columns)).tocsr()
        if self.symmetric:
            if pattern.shape[0] != pattern.shape[1]:
                raise ShapeError(f"the pattern of a Hessian is square, found {pattern.shape}", here())
            pattern = csr_array(pattern + pattern.T + eye_array(pattern.shape[0], dtype=bool))
        pattern.sort_indices()
        return pattern.indptr.astype(np.int64), pattern.indices.astype(np.int64), pattern.shape

    def _sets(self, args: Sequence[Any]) -> tuple[list[Any], int]:
        from .pattern import dependence

        f = self.function
        bound = f.signature.bind(args, {})
        s = f.found(bound)
        leaves = trees.copied(list(inputs(s, bound)))
        variables = [k for n in self.argnums for k in ad.select(bound, f.signature, n).positions]
        for k in variables:
            if not isinstance(leaves[k], float | np.floating | np.ndarray):
                raise StagingTypeError(f"{bound.paths[k]} is a record, and the columns of a Jacobian are floats", here(),
                                       fix="take one direction at a time: `lms.jvp`, `lms.vjp`")
        for what, t in [*((bound.paths[k], bound.leaves[k].type) for k in variables),
                        *(("the result", v.type) for v in s.staged.main.body.results)]:
            if is_complex(t):
                raise StagingTypeError(f"a sparse Jacobian is of floats by floats, and {what} is {t}", here(),
                                       fix="give its real and its imaginary part")
        results = dependence(s.simplified(), leaves, variables)
        return [each for result in results for each in result], sum(np.size(leaves[k]) for k in variables)

    # ----------------------------------------------------------------------------------- evaluating

    def _evaluate(self, plan: Plan, args: Sequence[Any]) -> csr_array | None:
        """The matrix; None if the product with the random vector says that the pattern lacks entries."""
        from scipy.sparse import csr_array

        fresh = trees.copied(tuple(args))
        parts = [np.asarray(part) for part in self._products(plan.mode, args)(*fresh, plan.seed)]
        if plan.mode == "forward":
            products = np.concatenate([part.reshape(-1, plan.seed.shape[1]) for part in parts])
        else:
            products = np.concatenate([part.reshape(len(plan.seed), -1) for part in parts], axis=1)
        wanted = plan.shape[0] if plan.mode == "forward" else plan.shape[1]
        size = products.shape[0] if plan.mode == "forward" else products.shape[1]
        if size != wanted:
            raise ShapeError(f"the pattern of {self.function.signature.name} has shape {plan.shape}, and there are {size} "
                             f"{'rows' if plan.mode == 'forward' else 'columns'}", here())
        matrix = csr_array((products[plan.places], plan.indices, plan.start), shape=plan.shape)
        probed = products[:, plan.colours] if plan.mode == "forward" else products[plan.colours]
        return matrix if _agree(matrix if plan.mode == "forward" else matrix.T, plan.probe, probed) else None

    def _products(self, mode: str, args: Sequence[Any]) -> Staged[..., Any]:
        return _compressed(self.function, self.argnums, mode, tuple(args))


def _compressed(s: Staged[..., Any], argnums: tuple[int | str, ...], mode: str, primals: tuple[Any, ...]) -> Staged[..., Any]:
    """The staged function of the arguments and a seed that gives the products of the Jacobian with it."""
    n = len(primals)

    def make() -> Staged[..., Any]:
        def body(*args: Any) -> Any:
            return ad.compressed(s, argnums, args[:n], args[n], mode)

        signature = s.signature.positional(primals, ["seed"], f"products({s.signature.name})")
        return Derived(_compressed, s, {"argnums": argnums, "mode": mode, "primals": primals}, body, signature)

    return kept(s, (_compressed, argnums, mode, n), make)


def _agree(matrix: Any, vector: np.ndarray, product: np.ndarray) -> bool:
    """Whether a product is that of the matrix with a vector, up to rounding; where entries are not finite there is no saying."""
    with np.errstate(all="ignore"):
        scale = abs(matrix) @ np.abs(vector)
        bound = np.finfo(product.dtype).eps ** 0.6 * scale + np.finfo(product.dtype).tiny
        return bool((~np.isfinite(scale) | (np.abs(matrix @ vector - product) <= bound)).all())


def _mirrored(rows: np.ndarray, columns: np.ndarray, colour: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the entries of a symmetric matrix stand alone in the products: in their own row, or in that of their mirror image."""
    shared = rows * _count(colour) + colour[columns]
    _, which, counts = np.unique(shared, return_inverse=True, return_counts=True)
    alone = counts[which] == 1
    return np.where(alone, rows, columns), np.where(alone, colour[columns], colour[rows])


def _transposed(start: np.ndarray, indices: np.ndarray, columns: int) -> Entries:
    order = np.argsort(indices, kind="stable")
    counts = np.bincount(indices, minlength=columns)
    return np.concatenate([[0], np.cumsum(counts)]), _rows(start)[order]


def _rows(start: np.ndarray) -> np.ndarray:
    return np.repeat(np.arange(len(start) - 1), np.diff(start))


def _count(colour: np.ndarray) -> int:
    return int(colour.max(initial=-1)) + 1


def _random(n: int) -> np.ndarray:
    return np.random.default_rng(n).uniform(0.5, 1.5, n)


# ------------------------------------------------------------------------------------------------- blocks


def block_jacobian(residual: Callable[..., Any]) -> Callable[[Sequence[np.ndarray], Sequence[Any]], csr_array]:
    """The Jacobian of many small independent residuals as a SciPy sparse array, without a pattern or a colouring.

    `residual` takes one row of each of some arrays. The function that is given takes the arrays, and for each of them the
    rows that the residuals use, one after another (None for 0, 1, 2, ...). The rows of the result are the residuals' elements,
    its columns those of the arrays, end to end. Each block is one Jacobian of the residual.

        stretch = lms.block_jacobian(lambda a, b: (a - b) ** 2)     # of springs between neighbours
        x = np.array([1.0, 2.0, 4.0])
        stretch((x, x), (np.array([0, 1]), np.array([1, 2]))).shape     # (2, 6)
    """
    s = as_staged(residual)

    def jacobian_of(arrays: Sequence[np.ndarray], places: Sequence[Any]) -> csr_array:
        from scipy.sparse import csr_array

        given = [np.ascontiguousarray(a) for a in arrays]
        if len(places) != len(given):
            raise ShapeError(f"{len(given)} arrays are given, and the rows of {len(places)}", here())
        lengths = [len(a) if p is None else len(p) for a, p in zip(given, places, strict=True)]
        if len(set(lengths)) > 1:
            raise ShapeError(f"the arrays have rows for {', '.join(map(str, lengths))} residuals", here())
        rows = [np.arange(lengths[0]) if p is None else np.asarray(p, np.int64) for p in places]
        widths = [int(np.prod(a.shape[1:])) for a in given]
        columns = sum(a.size for a in given)
        if not lengths[0]:
            return csr_array((0, columns))
        one = s(*(a[r[0]] for a, r in zip(given, rows, strict=True)))
        if not isinstance(one, float | np.floating | np.ndarray) or np.iscomplexobj(one):
            raise StagingTypeError(f"{s.signature.name} gives {describe(one)}, and residuals are a float or an array of floats",
                                   here(), fix="give one array: `np.concatenate(...)`")
        size = int(np.size(one))
        blocks = _blocks(s, size)(tuple(given), tuple(rows))
        first = np.cumsum([0, *(a.size for a in given)])
        of_block = np.concatenate([f + r[:, None] * w + np.arange(w) for f, r, w in zip(first, rows, widths, strict=False)], 1)
        data = np.concatenate([b.reshape(lengths[0], size, -1) for b in blocks], axis=2)
        indices = np.repeat(of_block[:, None, :], size, axis=1)
        start = np.arange(lengths[0] * size + 1) * sum(widths)
        made = csr_array((data.ravel(), indices.ravel(), start), shape=(lengths[0] * size, columns))
        made.sum_duplicates()
        return made

    return jacobian_of


def _blocks(s: Staged[..., Any], size: int) -> Staged[..., Any]:
    """The staged function of arrays and the rows of each that gives the Jacobians of all residuals, of `size` elements each."""

    def body(arrays: Any, rows: Any) -> Any:
        every = ad.jacobian(s, tuple(range(len(arrays))))

        def one(i: Any, outs: Any) -> Any:
            for out, part in zip(outs, every(*(a[r[i]] for a, r in zip(arrays, rows, strict=True))), strict=True):
                out[i] = reshape(part, out.shape[1:])
            return outs

        n = rows[0].shape[0]
        return fori_loop(0, n, one, tuple(zeros((n, size, *a.shape[1:]), a.dtype) for a in arrays))

    return kept(s, (_blocks, size), lambda: Derived(_blocks, s, {"size": size}, body, Signature(body)))
