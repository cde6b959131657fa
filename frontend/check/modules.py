"""A module while it is checked: what its names stand for, and the functions of it for certain types.

    Definition   a `def` at the top of a file; `instances` by the types of its parameters
    Place        a `let` or `var` at the top
    DataDeclaration, ConstructorDeclaration, Builtin, Module (what `import` binds)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from lms.core.data import dataclass, field
from lms.core.errors import Span
from lms.core.types import SCALARS, Size

from ..diagnostics import Diagnostic
from ..parse import syntax as s
from . import typed as t
from .annotations import TypeReader, declared_sizes
from .checker import Checker, Context, Expect, Scope
from .functions import returning
from .instances import bound_names, differentiable, exportable, holders, inside_later, place_of, size_binding
from .types import (
    AnyType,
    Array,
    ConstructorDeclaration,
    DataDeclaration,
    FunctionOf,
    Meta,
    TupleOf,
    TypeParameter,
    default,
    is_later,
    show,
)


@dataclass(eq=False, slots=True)
class Definition:
    """A function at the top of a file."""

    syntax: s.Def
    module: Module
    instances: dict[tuple[Any, ...], t.Instance] = field(default_factory=dict)
    rule: s.Derivative | None = None

    @property
    def name(self) -> str:
        return self.syntax.name

    @property
    def sizes(self) -> dict[str, Size]:
        return declared_sizes([g.name for g in self.syntax.generics if not g.is_type])


@dataclass(eq=False, slots=True)
class Top:
    """A `let` or `var` at the top, or an expression: checked when it is first needed."""

    syntax: s.Item
    state: str = ""
    typed: t.Typed | None = None
    places: dict[str, t.Place] = field(default_factory=dict)
    error: Diagnostic | None = None


Find = Callable[[str, s.Node], "Module"]


class Module:
    """The names of one file. `find` gives the module an `import` names."""

    def __init__(self, syntax: s.Module, find: Find, builtins: dict[str, Any]) -> None:
        self.syntax, self.path = syntax, syntax.path
        self.builtins = builtins
        self.values: dict[str, Any] = {}
        self.data: dict[str, DataDeclaration] = {}
        self.tops: list[Top] = []
        self.errors: list[Diagnostic] = []
        self.queue: list[t.Instance] = []
        self.checker = Checker(self)
        self.find = find
        self.exports: dict[str, Definition] = {}
        self.broken = set(syntax.broken)  # names that would be defined but for another mistake

    # ----------------------------------------------------------------------------------------- collecting

    def collect(self) -> None:
        """Find out what the names at the top stand for."""
        for item in self.syntax.items:
            try:
                self._collect(item)
            except Diagnostic as e:
                self.report(e)
                self.broken |= _meant(item)
        for item in self.syntax.items:
            try:
                if isinstance(item, s.Data) and item.name in self.data:
                    self._fields(self.data[item.name])
                elif isinstance(item, s.Derivative):
                    self._rule(item)
            except Diagnostic as e:
                self.errors.append(e)

    def _collect(self, item: s.Item) -> None:
        match item:
            case s.Def():
                definition = Definition(item, self)
                self._define(item.name, definition, item.name_span)
                if item.exported:
                    exportable(item)
                    self.exports[item.name] = definition
            case s.Data():
                if item.name in self.data:
                    raise self._twice(item.name, item.name_span, self.data[item.name].syntax.name_span)
                for g in item.generics:
                    if not g.is_type:
                        raise Diagnostic("E0202", "`data` takes types, not dimensions", g.span,
                                         fix="write `_` for a size in a field")
                declaration = DataDeclaration(item.name, item, tuple(g.name for g in item.generics), module=self)
                self.data[item.name] = declaration
                declaration.constructors = tuple(
                    ConstructorDeclaration(k.name, declaration, tag, k) for tag, k in enumerate(item.constructors))
                for constructor in declaration.constructors:
                    self._define(constructor.name, constructor, constructor.syntax.name_span)
            case s.Import():
                self._define(item.alias, self.find(item.module, item), item.module_span)
            case s.FromImport():
                self._import_names(item)
            case s.Let() | s.Var():
                top = Top(item)
                self.tops.append(top)
                for name, span in bound_names(item):
                    self._define(name, top, span)
            case s.Derivative():
                pass
            case _:
                self.tops.append(Top(item))

    def _import_names(self, item: s.FromImport) -> None:
        module = self.find(item.module, item)
        for name in item.names:
            entry, declaration = module.values.get(name.name), module.data.get(name.name)
            if (entry is None and declaration is None) or name.name.startswith("_"):
                raise self._not_there(name.name, name.span, module)
            if declaration is not None:
                self.data[name.name] = declaration
            if entry is not None:
                self._define(name.name, entry, name.span)

    def _not_there(self, name: str, span: Span, module: Module) -> Diagnostic:
        """A module does not have a name, or keeps it to itself."""
        if name in module.values:
            return Diagnostic("E0201", f"`{name}` is private to its file", span, consequence=name in self.broken,
                              notes=(("it is defined here", place_of(module.values[name])),),
                              fix="names that begin with `_` are: give it another there")
        return self.checker.unknown(name, span, [n for n in module.values if not n.startswith("_")])

    def _define(self, name: str, entry: Any, span: Span) -> None:
        if name in self.values:
            raise self._twice(name, span, place_of(self.values[name]))
        self.values[name] = entry

    def _twice(self, name: str, span: Span, before: Span | None) -> Diagnostic:
        notes = (("it is defined here too", before),) if before else ()
        return Diagnostic("E0206", f"`{name}` is defined twice", span, notes=notes, fix="give one of them another name")

    def _fields(self, declaration: DataDeclaration) -> None:
        reader = TypeReader(self, {name: TypeParameter(name) for name in declaration.params}, {})
        for constructor in declaration.constructors:
            fields = []
            for f in constructor.syntax.fields:
                if f.type is None:
                    raise Diagnostic("E0309", f"the field `{f.name}` has no type", f.span, fix=f"`{f.name}: f64`")
                fields.append((f.name, reader.inside(f.type)))
            if len({name for name, _ in fields}) != len(fields):
                raise Diagnostic("E0206", f"a field of `{constructor.name}` is named twice", constructor.syntax.span)
            constructor.fields = tuple(fields)

    def _rule(self, item: s.Derivative) -> None:
        definition = self.values.get(item.name)
        if not isinstance(definition, Definition):
            raise Diagnostic("E0702", f"`{item.name}` is not a function of this file", item.name_span)
        if definition.syntax.generics and any(g.is_type for g in definition.syntax.generics):
            raise Diagnostic("E0702", f"`{item.name}` is generic over types, and has no one derivative", item.name_span)
        if [p.name for p in item.params] != [p.name for p in definition.syntax.params]:
            names = ", ".join(p.name for p in definition.syntax.params)
            raise Diagnostic("E0702", f"a derivative takes what its function takes: ({names})", item.span,
                             notes=(("the function is defined here", definition.syntax.name_span),))
        definition.rule = item

    # ---------------------------------------------------------------------------------------------- names

    def value(self, name: str) -> Any:
        """What a name at the top stands for, the built-in ones included; None if nothing. `%f` is the built-in `f` always."""
        if name.startswith("%"):
            return self.builtins[name[1:]]
        found = self.values.get(name)
        if found is None:
            return self.builtins.get(name)
        return self.place(found, name) if isinstance(found, Top) else found

    def type(self, name: str) -> DataDeclaration | None:
        if "." in name:
            module, _, name = name.partition(".")
            found = self.values.get(module)
            return found.data.get(name) if isinstance(found, Module) else None
        return self.data.get(name)

    def constructor(self, name: str) -> ConstructorDeclaration | None:
        if "." in name:
            module, _, name = name.partition(".")
            outer = self.values.get(module)
            found = outer.values.get(name) if isinstance(outer, Module) else None
        else:
            found = self.values.get(name)
        return found if isinstance(found, ConstructorDeclaration) else None

    def known_names(self) -> Iterable[str]:
        return [*self.values, *self.builtins]

    def known_types(self) -> Iterable[str]:
        return self.data

    def known_constructors(self) -> Iterable[str]:
        return [name for name, v in self.values.items() if isinstance(v, ConstructorDeclaration)]

    def qualified(self, e: s.Field, scope: Scope) -> Any:
        """What `module.name` stands for; None if it is the field of a value."""
        if not isinstance(e.value, s.Name) or scope.find(e.value.name) is not None:
            return None
        module = self.values.get(e.value.name)
        if not isinstance(module, Module):
            return None
        found = module.values.get(e.name)
        if found is None or e.name.startswith("_"):
            raise self._not_there(e.name, e.name_span, module)
        return module.place(found, e.name) if isinstance(found, Top) else found

    def entry_of(self, e: s.Expression, scope: Scope) -> Any:
        """What a name or `module.name` at the top stands for; None for a value of any other kind."""
        if isinstance(e, s.Name) and scope.find(e.name) is None:
            return self.value(e.name)
        return self.qualified(e, scope) if isinstance(e, s.Field) else None

    def generic(self, e: s.Expression, scope: Scope) -> Definition | None:
        entry = self.entry_of(e, scope)
        return entry if isinstance(entry, Definition) else None

    def sizes_of(self, context: Context) -> dict[str, Size]:
        syntax = context.instance.syntax if context.instance is not None else None
        return declared_sizes([g.name for g in syntax.generics if not g.is_type]) if isinstance(syntax, s.Def) else {}

    # ------------------------------------------------------------------------------------------- top level

    def place(self, top: Top, name: str) -> t.Place:
        """The place of a name at the top, whose definition is checked now unless it has been."""
        self.check_top(top)
        if name not in top.places:
            raise Diagnostic("E0208", f"`{name}` could not be made out", top.syntax.span,
                             consequence=True) if top.error else Diagnostic(
                "E0208", f"`{name}` is needed to define itself", top.syntax.span, fix="annotate its type, or make it a function")
        return top.places[name]

    def variable(self, name: str) -> t.Place | None:
        found = self.values.get(name)
        place = self.place(found, name) if isinstance(found, Top) else None
        return place if place is not None and place.mutable else None

    def report(self, e: Diagnostic) -> None:
        if not e.consequence:
            self.errors.append(e)

    def check_top(self, top: Top) -> None:
        if top.state:
            return
        top.state = "checking"
        context = Context("the file", None, None)
        scope = Scope(None, context)
        try:
            match top.syntax:
                case s.Let():
                    self._check_let(top, top.syntax, scope)
                case s.Var():
                    self._check_var(top, top.syntax, scope)
                case _:
                    top.typed = self.checker.expression(top.syntax, scope)
            self.checker.finish(context)
        except Diagnostic as e:
            top.error = e
            self.report(e)
        top.state = "done"

    def _check_let(self, top: Top, e: s.Let, scope: Scope) -> None:
        from .control import let

        made = let(self.checker, e, scope, None)
        assert isinstance(made, t.Bind)
        top.typed = made
        for name, binding in sorted(scope.names.items(), key=lambda kv: kv[1].index):
            top.places[name] = t.Place(name, binding.type, binding.span, later=is_later(binding.type))

    def _check_var(self, top: Top, e: s.Var, scope: Scope) -> None:
        from .control import var

        made = var(self.checker, e, scope, None)
        top.typed = made
        type = scope.names[e.name].type
        top.places[e.name] = t.Place(e.name, type, e.name_span, mutable=True, later=is_later(type))

    # ------------------------------------------------------------------------------------------- functions

    def instance(self, definition: Definition, types: dict[str, AnyType], where: Span | None = None) -> t.Instance:
        """The function for certain types; its body is checked later."""
        key = tuple(types.values())
        if (known := definition.instances.get(key)) is not None:
            if not known.checked:  # not yet, or by a check that was interrupted: the prelude's functions are every file's
                self.queue.append(known)
            return known
        e = definition.syntax
        module = definition.module
        sizes = definition.sizes
        reader = TypeReader(module, types, sizes)
        params: list[tuple[str, AnyType, bool]] = []
        for p in e.params:
            if p.type is None:
                raise Diagnostic("E0309", f"the parameter `{p.name}` has no type", p.span, fix=f"`{p.name}: f64`")
            found = reader.read(p.type)
            if p.mut and not isinstance(inside_later(found), Array):
                raise Diagnostic("E0308", f"`mut` is for arrays, and `{p.name}` is `{show(found)}`", p.span,
                                 fix="give the new value as the result")
            module.checker.types[p] = found
            params.append((p.name, found, p.mut))
        if len({name for name, _, _ in params}) != len(params):
            raise Diagnostic("E0206", f"a parameter of `{e.name}` is named twice", e.span)
        result = reader.read(e.result) if e.result is not None else None
        made = t.Instance(e.name, e, definition, dict(types), tuple(params), result, tuple(holders(sizes, params)))
        definition.instances[key] = made
        made.needed = where
        self.queue.append(made)
        return made

    def check_instance(self, made: t.Instance) -> None:
        """Check the body of a function for its types."""
        if made.checked:
            return
        made.checked = "checking"
        e: s.Def = made.syntax
        want = Expect(made.result if made.result is not None else Meta(),
                      f"the result of `{e.name}` is declared here" if e.result else "", e.result.span if e.result else None)
        context = Context(f"`{e.name}`", made, want, made.types)
        scope = Scope(None, context)
        c = self.checker
        try:
            for p, (name, type, mut) in zip(e.params, made.params, strict=True):
                scope.bind(name, type, p.name_span, "parameter", mut)
            made.defaults = tuple(None if p.default is None else c.expression(
                p.default, Scope(None, context), Expect(type, f"`{p.name}` is declared here", p.span))
                for p, (_, type, _) in zip(e.params, made.params, strict=True))
            for name, position, axis in made.sizes:
                scope.names[name] = size_binding(name, position, axis, made, context)
            body = returning(c, e.body, scope, want, e.result)
            c.finish(context)
            made.result = default(want.type)
            made.body = t.Catch(body.span, made.result, "return", body) if context.returns else body
            if made.module.rule is not None and made.rule is None:
                made.rule = self._check_rule(made, made.module.rule)
        except Diagnostic as error:
            if made.types and made.needed is not None:
                shown = ", ".join(f"{name} = {show(x)}" for name, x in made.types.items())
                error.notes = (*error.notes, (f"it is checked for {shown}, as needed here", made.needed))
            self.report(error)
            made.result = default(want.type)
        except BaseException:
            made.checked = ""
            raise
        made.checked = "done"

    def _check_rule(self, made: t.Instance, e: s.Derivative) -> t.Instance:
        """`derivative f(x) = (value, fn(dy) => dx)`."""
        from .functions import function_body

        assert made.result is not None
        given = [TypeReader(self, made.types, self.sizes_of(Context("", made, None))).read(p.type) if p.type else type
                 for p, (_, type, _) in zip(e.params, made.params, strict=True)]
        moved = tuple(type for _, type, _ in made.params if differentiable(type))
        cotangents: AnyType = moved[0] if len(moved) == 1 else TupleOf(moved)
        want = TupleOf((made.result, FunctionOf((made.result,), cotangents)))
        scope = Scope(None, Context("a derivative", made, None, made.types))
        rule = t.Instance(f"{made.name}_derivative", e, made.module, made.types, tuple(
            (name, type, mut) for (name, _, mut), type in zip(made.params, given, strict=True)), want)
        _, rule.body = function_body(self.checker, f"the derivative of `{made.name}`", e.params, given, want, e.body, scope,
                                     e.name_span)
        rule.checked = "done"
        return rule

    def result_of(self, made: t.Instance, span: Span) -> AnyType:
        """The type of the result, found out by checking the body where it is not declared."""
        if made.result is None:
            if made.checked == "checking":
                raise Diagnostic("E0312", f"`{made.name}` calls itself, so its result type must be declared", span,
                                 notes=(("it is defined here", made.syntax.name_span),),
                                 fix=f"`def {made.name}(...): Rep[f64] = ...`")
            made.module.module.check_instance(made)
        assert made.result is not None
        return made.result

    def check(self) -> list[Diagnostic]:
        """Check everything in the file: what is generic, for the types it is used with. Gives the mistakes in order."""
        for top in self.tops:
            self.check_top(top)
        for definition in [d for d in self.values.values() if isinstance(d, Definition) and d.module is self]:
            if not any(g.is_type for g in definition.syntax.generics):
                try:
                    self.instance(definition, {})
                except Diagnostic as e:
                    self.errors.append(e)
            self._check_queue()
        self._check_queue()
        self._check_unused()
        self.errors.sort(key=lambda e: (e.span.line, e.span.column) if e.span else (0, 0))
        return self.errors

    def _check_unused(self) -> None:
        """Names in generic functions that nobody uses: checked for some type, of which no other mistake is told."""
        for definition in [d for d in self.values.values() if isinstance(d, Definition) and d.module is self and not d.instances]:
            if not any(g.is_type for g in definition.syntax.generics):
                continue
            known = len(self.errors)
            types: dict[str, AnyType] = {g.name: SCALARS["bool" if g.bound == "Bool" else "f64"]
                                         for g in definition.syntax.generics if g.is_type}
            try:
                self.instance(definition, types)
            except Diagnostic as e:
                self.report(e)
            self._check_queue()
            self.errors[known:] = [e for e in self.errors[known:] if e.code.startswith("E02")]

    def _check_queue(self) -> None:
        pending = [self]
        while pending:
            module = pending.pop()
            while module.queue:
                made = module.queue.pop()
                home: Module = made.module.module
                home.check_instance(made)
                if home is not self:
                    self.errors += home.errors
                    home.errors.clear()
                    pending.append(home)

    # ------------------------------------------------------------------------------- names used as values

    def as_value(self, c: Checker, entry: Any, e: s.Expression, scope: Scope, want: Expect | None) -> t.Typed:
        from .calls import entry_value

        return entry_value(c, entry, e, scope, want)

    def instantiated(self, c: Checker, entry: Definition, e: s.Index, scope: Scope) -> t.Typed:
        from .calls import instantiate

        return instantiate(c, entry, e, scope)


def _meant(item: s.Item) -> set[str]:
    """The names that an item would define."""
    match item:
        case s.FromImport(names=names):
            return {name.name for name in names}
        case s.Import(alias=alias):
            return {alias}
        case s.Data():
            return {item.name, *(k.name for k in item.constructors)}
    return set()
