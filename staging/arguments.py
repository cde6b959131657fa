"""Which arguments are staged, which are known now, and with which types: by annotations, else by values."""

from __future__ import annotations

import collections.abc
import copy
import dataclasses
import enum
import inspect
import linecache
import operator
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lms.core.data import dataclass, field
from lms.core.errors import Span, StagingError, StagingTypeError, here
from lms.core.ir import Value
from lms.core.types import ArrayType, Scalar, SumType, Type, c128, f64, i64, scalar_of, symbol

from . import trees
from .annotations import Annotation
from .joins import describe, scalar_like, weak_kind
from .rep import Rep, Weak
from .table import form

NOTHING: Any = inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Later:
    """A leaf that is staged: its type, whether it may be written to, and whether it is a Python number, whose type adapts."""

    type: Type
    mut: bool = False
    weak: bool = False

    def wrap(self, v: Value) -> Rep:
        """The leaf as the function sees it."""
        return Weak(v) if self.weak else Rep(v)


@dataclass(frozen=True, slots=True)
class Now:
    """A leaf that is known. Equal numbers of different types, and zeros of different signs, are told apart."""

    kind: type
    value: Any
    sign: float = 0.0


@dataclass(slots=True)
class Bound:
    """The arguments of one call: what each is, and the values, names and paths of the staged leaves, in order."""

    spec: dict[str, Any] = field(default_factory=dict)
    values: list[Any] = field(default_factory=list)
    leaves: list[Later] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    @property
    def key(self) -> tuple[Any, ...]:
        return tuple(self.spec.items())


# --------------------------------------------------------------------------------------------- signatures


class Signature:
    """A function's parameters with their annotations resolved: objects, strings, and names local to where it was defined."""

    def __init__(self, function: Callable[..., Any], local: Mapping[str, Any] | None = None) -> None:
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__)
        if not callable(function):
            raise StagingTypeError(f"a function is staged, found {function!r}", here(), fix=_fix_of(function))
        try:
            self.signature = _signature(form(function))
        except ValueError:
            raise StagingTypeError(f"{function!r} has no signature to stage it by", here(),
                                   fix="stage a function that calls it: `lambda x: ...`") from None
        inner = inspect.unwrap(function)
        inner = getattr(inner, "__func__", inner)
        names: dict[str, Any] = dict(getattr(inner, "__globals__", {}))
        names.update(local or {})
        code = getattr(inner, "__code__", None)
        for name, cell in zip(code.co_freevars if code else (), getattr(inner, "__closure__", None) or (), strict=False):
            try:
                names[name] = cell.cell_contents
            except ValueError:
                continue
        self.annotations = {k: resolve(p.annotation, names) for k, p in self.signature.parameters.items()}
        self.result = resolve(self.signature.return_annotation, names)
        self.span = definition(code) if code else None

    def positional(self, values: Sequence[Any], further: Sequence[str], name: str) -> Signature:
        """The signature of something that takes `values` as this function would, then `further` arguments, all by position."""
        new = object.__new__(Signature)
        new.function, new.name, new.span, new.result = self.function, name, self.span, NOTHING
        kind = inspect.Parameter.POSITIONAL_ONLY
        try:
            bound = self.signature.bind(*values)
        except TypeError as e:
            raise StagingTypeError(f"{self.name}(): {e}", here()) from None
        new.annotations = {}
        for k, v in bound.arguments.items():
            if self.signature.parameters[k].kind is inspect.Parameter.VAR_POSITIONAL:
                new.annotations |= {f"{k}_{n}": self.annotations[k] for n in range(len(v))}
            else:
                new.annotations[k] = self.annotations[k]
        new.annotations |= {k: NOTHING for k in further}
        new.signature = inspect.Signature([inspect.Parameter(k, kind) for k in new.annotations])
        return new

    def returning(self, name: str) -> Signature:
        """The same parameters, of a function whose result is another one."""
        new = copy.copy(self)
        new.name, new.result = name, NOTHING
        return new

    def bind_types(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Bound:
        """As `bind`, but what is left out stands for any value of its annotated type. Raises `StagingTypeError` without one."""
        arguments = self.signature.bind_partial(*args, **kwargs)
        arguments.apply_defaults()
        bound = Bound()
        for name, parameter in self.signature.parameters.items():
            if name in arguments.arguments or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                bound.spec[name] = classify(arguments.arguments.get(name, ()), self.annotations[name], name, bound)
            else:
                bound.spec[name] = _any_value(self.annotations[name], name, bound, self.span)
        return bound

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Bound:
        """What a call passes. Raises `TypeError` as Python does, and `StagingTypeError` for what cannot be staged."""
        try:
            arguments = self.signature.bind(*args, **kwargs)
        except TypeError as e:
            raise StagingTypeError(f"{self.name}(): {e}", here()) from None
        arguments.apply_defaults()
        bound = Bound()
        for name, value in arguments.arguments.items():
            annotation = self.annotations[name]
            kind = self.signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_POSITIONAL:
                parts = tuple(classify(v, annotation, f"{name}[{k}]", bound) for k, v in enumerate(value))
                bound.spec[name] = trees.Tree(tuple, tuple(range(len(parts))), parts)
            elif kind is inspect.Parameter.VAR_KEYWORD:
                parts = tuple(classify(v, annotation, f"{name}[{k!r}]", bound) for k, v in value.items())
                bound.spec[name] = trees.Tree(dict, tuple(value), parts)
            else:
                bound.spec[name] = classify(value, annotation, name, bound)
        return bound

    def arguments(self, bound: Bound, leaves: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The positional and keyword arguments of the function, staged leaves replaced by `leaves`."""
        rest = iter(leaves)
        values = {name: build(spec, rest) for name, spec in bound.spec.items()}
        arguments = inspect.BoundArguments(self.signature, values)
        return arguments.args, arguments.kwargs


def definition(code: types.CodeType) -> Span:
    """The line of a function's `def`, below its decorators."""
    lines = [] if code.co_name == "<lambda>" else linecache.getlines(code.co_filename)[code.co_firstlineno - 1 :]
    below = next((k for k, line in enumerate(lines) if line.lstrip().startswith(("def ", "async def "))), 0)
    return Span(code.co_filename, code.co_firstlineno + below)


def _fix_of(x: Any) -> str:
    if isinstance(x, property | classmethod | staticmethod):
        return f"write `@lms.stage` below `@{type(x).__name__}`, next to the `def`"
    return "pass a function, or write `@lms.stage` above a `def`"


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    if sys.version_info >= (3, 14):  # annotations are evaluated when asked for; some names are for type checkers only
        from annotationlib import Format

        return inspect.signature(function, annotation_format=Format.FORWARDREF)
    return inspect.signature(function)


def _annotations(cls: type) -> dict[str, Any]:
    """The annotations in a class's own body."""
    if sys.version_info >= (3, 14):
        from annotationlib import Format, get_annotations

        return dict(get_annotations(cls, format=Format.FORWARDREF))
    return inspect.get_annotations(cls)


def resolve(annotation: Any, names: Mapping[str, Any]) -> Any:
    """An annotation as an object; one that cannot be evaluated (imported for type checkers only) counts as absent."""
    annotation = getattr(annotation, "__forward_arg__", annotation)  # from Python 3.14 on: a name that was not bound yet
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, dict(names))  # the user's own annotation, as typing.get_type_hints does
    except StagingError:
        raise
    except Exception:  # noqa: BLE001  # any error of the user's expression means the same: it says nothing at run time
        return NOTHING


def build(spec: Any, leaves: Any) -> Any:
    """An argument from its specification, with the next of `leaves` for each staged leaf."""
    if isinstance(spec, Later):
        return next(leaves)
    if isinstance(spec, Now):
        return spec.value
    return trees.rebuild(spec.cls, spec.keys, [build(part, leaves) for part in spec.parts], spec.extra)


# ---------------------------------------------------------------------------------------- one annotation


_STATIC = (int, bool, str, bytes, type(None))
_NUMBERS: dict[Any, Scalar] = {float: f64, complex: c128}


def classify(x: Any, annotation: Any, path: str, bound: Bound) -> Any:
    """What one argument is, as a hashable specification; staged leaves are appended to `bound`."""
    if isinstance(annotation, Annotation):
        if annotation.kind == "static":
            return _now(x, path)
        return _staged(x, annotation.type, annotation.mut, path, bound)
    if isinstance(annotation, Scalar | ArrayType | SumType):
        return _staged(x, annotation, False, path, bound)
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return classify(x, typing.get_args(annotation)[0], path, bound)
    if annotation in _STATIC or annotation is None or (isinstance(annotation, type) and issubclass(annotation, enum.Enum)):
        return _now(_plain(x, annotation), path)
    if origin is collections.abc.Callable or annotation is collections.abc.Callable or annotation is typing.Callable:
        return _now(x, path)
    if annotation in _NUMBERS or (isinstance(annotation, type) and issubclass(annotation, np.generic)):
        if x is None:
            return _now(x, path)
        return _number(x, _NUMBERS.get(annotation) or scalar_of(annotation), path, bound, weak=annotation in _NUMBERS)
    if annotation is np.ndarray or origin is np.ndarray:
        return _array(x, annotation, path, bound)
    if origin in (types.UnionType, typing.Union) and all(a in _STATIC for a in typing.get_args(annotation)):
        return _now(x, path)
    if annotation is not NOTHING and isinstance(annotation, type) and not (
            trees.children(x) or scalar_like(x) or isinstance(x, Rep | np.ndarray)):
        return _now(x, path)
    return _by_value(x, annotation, path, bound)


def _any_value(annotation: Any, path: str, bound: Bound, defined: Span | None) -> Any:
    """What an argument is, by its annotation alone."""
    from .results import declared

    spec = declared(annotation)
    if annotation in _NUMBERS:
        spec = Later(_NUMBERS[annotation], weak=True)
    if isinstance(annotation, Annotation) and annotation.mut and isinstance(spec, Later):
        spec = Later(spec.type, mut=True)
    if not isinstance(spec, Later):
        raise StagingTypeError(f"{path} is needed to specialise: its annotation does not say what it is", defined,
                               fix=f"annotate it, `{path}: Rep[f64]` or `{path}: Rep[Array[f64, \"n\"]]`; or pass `{path}=...`")
    return _leaf(None, spec, path, bound)


def _plain(x: Any, annotation: Any) -> Any:
    """A NumPy int where a Python int is expected, as such."""
    if annotation is int and isinstance(x, np.integer):
        return operator.index(x)
    return bool(x) if annotation is bool and isinstance(x, np.bool_) else x


def _array(x: Any, annotation: Any, path: str, bound: Bound) -> Any:
    if isinstance(x, np.ndarray | Rep):
        args = typing.get_args(annotation)
        inner = typing.get_args(args[1]) if len(args) == 2 else ()
        if inner and isinstance(inner[0], type) and issubclass(inner[0], np.generic) and scalar_like(x) is not None:
            try:
                expected = scalar_of(inner[0])
            except (KeyError, TypeError):
                return _by_value(x, NOTHING, path, bound)
            if scalar_like(x) != expected:
                _wrong(path, f"an array of {expected}", x, f"convert it: `{path}.astype(\"{expected.dtype}\")`")
        return _by_value(x, NOTHING, path, bound)
    return _now(x, path) if x is None else _wrong(path, "an array", x, f"`np.asarray({path})`")


def _by_value(x: Any, annotation: Any, path: str, bound: Bound) -> Any:
    """An argument without a decisive annotation: numbers, arrays and containers of them are staged, the rest is known."""
    if isinstance(x, Rep):
        return _leaf(x, Later(x.type, weak=x.adapts), path, bound)
    if isinstance(x, enum.Enum):
        return _now(x, path)
    if (found := trees.children(x)) is not None:
        cls, keys, parts, extra = found
        inner = part_annotations(annotation, cls, keys, parts)
        specs = tuple(classify(v, a, trees_path(path, cls, k), bound) for k, v, a in zip(keys, parts, inner, strict=True))
        if cls.__hash__ is not None and all(isinstance(s, Now) for s in specs) and trees.is_record(x):
            return _now(x, path)
        return trees.Tree(cls, keys, specs, extra)
    if isinstance(x, np.ndarray):
        return _leaf(x, Later(array_type(x, path)), path, bound)
    if (scalar := scalar_like(x)) is not None:
        return _number(x, scalar, path, bound, weak=True)
    return _now(x, path)


def trees_path(path: str, cls: type, key: Any) -> str:
    return f"{path}.{key}" if isinstance(key, str) and cls is not dict else f"{path}[{key!r}]"


def part_annotations(annotation: Any, cls: type, keys: Sequence[Any], parts: Sequence[Any]) -> list[Any]:
    """The annotation of each part of a container: from `list[T]`, `dict[K, T]`, `tuple[...]`, or the fields of its class."""
    args = typing.get_args(annotation)
    if cls in (list, tuple) and args:
        if cls is tuple and not (len(args) == 2 and args[1] is ...):
            return list(args) if len(args) == len(parts) else [NOTHING] * len(parts)
        return [args[0]] * len(parts)
    if cls is dict and len(args) == 2:
        return [args[1]] * len(parts)
    if dataclasses.is_dataclass(cls) or hasattr(cls, "_fields"):
        hints = class_hints(cls)
        return [hints.get(k, NOTHING) for k in keys]
    return [NOTHING] * len(parts)


def class_hints(cls: type) -> dict[str, Any]:
    """The annotations of a class's fields, resolved in its module."""
    out: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        names = vars(sys.modules.get(base.__module__, sys)) | {base.__name__: base}
        out |= {k: resolve(a, names) for k, a in _annotations(base).items()}
    return out


# ------------------------------------------------------------------------------------------ kinds of leaf


def _now(x: Any, path: str) -> Now:
    if isinstance(x, Rep):
        raise StagingTypeError(f"{path} must be known now, and is {describe(x)}", here(),
                               fix=f"annotate `{path}: Rep[{x.type}]`, or pass a Python value")
    try:
        hash(x)
    except TypeError:
        raise StagingTypeError(f"{path} is known now (static) and selects the specialisation, so it must be hashable; "
                               f"a {type(x).__qualname__} is not", here(),
                               fix=f"pass a tuple or a frozen dataclass, or annotate `{path}: Rep[...]` to stage it") from None
    return Now(type(x), x, float(np.copysign(1.0, x)) if type(x) is float and x == 0 else 0.0)


def _leaf(x: Any, leaf: Later, path: str, bound: Bound) -> Later:
    bound.values.append(x)
    bound.leaves.append(leaf)
    bound.paths.append(path)
    return leaf


def array_type(x: np.ndarray[Any, Any], path: str) -> ArrayType:
    """An array's type when nothing was declared: sizes of 1 are known, others have a symbol each."""
    name = identifier(path)
    dims = tuple(1 if n == 1 else symbol(f"{name}{k}") for k, n in enumerate(x.shape))
    return ArrayType(_dtype(x, path), dims, "C" if x.flags.c_contiguous else "S")


def _dtype(x: np.ndarray[Any, Any], path: str) -> Scalar:
    if (found := scalar_like(x)) is None:
        _wrong(path, "an array of numbers or bools", x, "convert it: `.astype(...)`, `np.asarray(...)`")
    return found


def identifier(path: str) -> str:
    """A path as a name: `params['w'][0]` is `params_w_0`."""
    return re.sub(r"\W+", "_", path).strip("_")


def _staged(x: Any, t: Any, mut: bool, path: str, bound: Bound) -> Any:
    """An argument declared `Rep[t]`."""
    if isinstance(t, Scalar):
        return _number(x, t, path, bound)
    if isinstance(t, ArrayType):
        return _leaf(x, Later(_declared(x, t, path), mut), path, bound)
    from .records import record_type

    if (sum_type := record_type(t)) is not None:
        return _leaf(x, Later(sum_type), path, bound)
    inside = Bound()
    spec = _by_value(x, t, path, inside)
    if isinstance(spec, Now):
        _wrong(path, "a number, an array, or a container of them", x, "")
    bound.values += inside.values
    bound.leaves += inside.leaves
    bound.paths += inside.paths
    return _mutable(spec, bound, len(inside.leaves)) if mut else spec


def _number(x: Any, t: Scalar, path: str, bound: Bound, weak: bool = False) -> Later:
    if not _is_number(x, t):
        _wrong(path, str(t), x, _cure(x, t, path))
    return _leaf(x, Later(t, weak=weak and weak_kind(x) not in (None, bool) and t in (i64, f64, c128)), path, bound)


def _mutable(spec: Any, bound: Bound, n: int) -> Any:
    for k in range(len(bound.leaves) - n, len(bound.leaves)):
        bound.leaves[k] = Later(bound.leaves[k].type, isinstance(bound.leaves[k].type, ArrayType))

    def visit(s: Any) -> Any:
        if isinstance(s, Later):
            return Later(s.type, isinstance(s.type, ArrayType))
        return s if isinstance(s, Now) else trees.Tree(s.cls, s.keys, tuple(map(visit, s.parts)), s.extra)

    return visit(spec)


def _rank(x: Any) -> int:
    return int(getattr(x, "ndim", 0))


def _is_number(x: Any, t: Scalar) -> bool:
    found = scalar_like(x)
    if found is None or _rank(x) or (isinstance(x, Rep) and not isinstance(x.type, Scalar)):
        return False
    if t.kind in "iu" and isinstance(x, int | np.integer) and not isinstance(x, bool):
        info = np.iinfo(str(t.dtype))
        if not info.min <= int(x) <= info.max:
            raise StagingError(f"{x} does not fit in {t}", here())
    order = "biufc"
    return order.index(found.kind) <= max(order.index(t.kind), 2 if t.kind == "i" else 0)


def _declared(x: Any, t: ArrayType, path: str) -> ArrayType:
    """The type of an argument that was declared an array."""
    if isinstance(x, Rep) and isinstance(x.type, ArrayType):
        found, shape, layout = x.type.dtype, x.type.dims, x.type.layout
    elif isinstance(x, np.ndarray):
        found, shape, layout = _dtype(x, path), x.shape, "C" if x.flags.c_contiguous else "S"
    else:
        _wrong(path, str(t), x, f"pass an array: `np.asarray({path}, dtype=\"{t.dtype}\")`")
    if found != t.dtype:
        _wrong(path, str(t), x, f"convert it: `{path}.astype(\"{t.dtype}\")`")
    if len(shape) != t.rank:
        _wrong(path, f"{t}, of rank {t.rank}", x, "give it that many axes")
    return ArrayType(t.dtype, t.dims, layout)


def _cure(x: Any, t: Scalar, path: str) -> str:
    if isinstance(x, np.ndarray | Rep) and _rank(x):
        return f"annotate it as an array: `Rep[Array[{scalar_like(x) or t}, {', '.join(['n'] * x.ndim)}]]`"
    return f"convert it: `{t}({path})`" if scalar_like(x) is not None else "pass a number"


def _wrong(path: str, expected: str, x: Any, fix: str) -> typing.NoReturn:
    raise StagingTypeError(f"{path} is declared {expected}, found {describe(x)}", here(), fix=fix)


