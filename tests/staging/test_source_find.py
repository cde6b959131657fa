"""Which source belongs to a function; what the virtual function keeps of it."""

from __future__ import annotations

import importlib.util
import linecache
import sys
import textwrap
import traceback

import pytest

import lms
from lms import Rep, f64
from lms.core.errors import LmsError, StagingError
from lms.staging.source.virtualize import is_virtual, virtualize
from tests.support.differential import agrees, refused

stage = lms.stage(backend="interpret")


def module(folder, source, name="given"):
    file = folder / f"{name}.py"
    file.write_text(textwrap.dedent(source))
    linecache.checkcache()
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_several_lambdas_on_one_line():
    fs = [lambda x: x if x > 0 else -x, lambda x: x if x > 1 else 0.0, lambda x: (lambda y: y if y > 2 else x)(x * 2)]
    for f in fs:
        agrees(f, (-3.0,), (0.5,), (1.5,), (3.0,))


def test_lambdas_over_several_lines():
    (f,) = [
        lambda x:
        x if x > 0
        else -x]
    agrees(f, (-3.0,), (3.0,))


def test_functions_of_one_name_and_line(tmp_path):
    m = module(tmp_path, """
        if True:
            def f(x): return x if x > 0 else 0.0
        else:
            def f(x): return 1.0
        def g(k):
            def h(x): return x if x > k else k
            return h
        """)
    agrees(m.f, (1.0,), (-1.0,))
    agrees(m.g(2.0), (1.0,), (5.0,))
    agrees(m.g(7.0), (1.0,), (9.0,))


def test_equal_functions_of_two_files(tmp_path):
    source = "def f(x):\n    if x > 0:\n        raise ValueError('here')\n    return x\n"
    one, two = module(tmp_path, source, "one"), module(tmp_path, source, "two")
    for m in (one, two):
        with pytest.raises(ValueError, match=rf"{m.__name__}\.py:3"):
            stage(m.f)(1.0)


def test_a_changed_file(tmp_path):
    m = module(tmp_path, "def f(x):\n    return x if x > 0 else 0.0\n")
    (tmp_path / "given.py").write_text("\n\n\n\nf = 1\n")
    linecache.checkcache()
    e = refused(m.f, 1.0)
    assert "the file has changed" in e.message and e.fix == "import it again"


def test_without_source_what_need_not_be_staged_works():
    space: dict[str, object] = {"Rep": Rep, "f64": f64}
    exec("def f(x: Rep[f64], n: int):\n    for k in range(n):\n        x = x * k + 1\n    return x\n"
         "def g(x: Rep[f64]):\n    return x if x > 0 else -x\n", space)
    f, g = space["f"], space["g"]
    assert stage(f)(2.0, 3) == f(2.0, 3)
    with pytest.raises(StagingError) as e:
        stage(g)(1.0)
    assert "lms.cond" in e.value.fix


def test_names_defaults_and_cells():
    scale = 3.0

    def f(x: Rep[f64], k: float = 2.0, *rest: float, last: float = 1.0, **more: float) -> float:
        """What it does."""
        if x > 0:
            return x * k * scale + last + sum(rest) + sum(more.values())
        return last

    g = virtualize(f)
    assert (g.__name__, g.__qualname__, g.__doc__, g.__defaults__, g.__kwdefaults__, g.__module__) == (
        f.__name__, f.__qualname__, f.__doc__, f.__defaults__, f.__kwdefaults__, f.__module__)
    assert g.__annotations__ == f.__annotations__ and is_virtual(g) and not is_virtual(f) and virtualize(g) is g
    assert g(2.0, 1.0, 5.0, last=4.0, z=6.0) == f(2.0, 1.0, 5.0, last=4.0, z=6.0)
    scale = 4.0
    assert g(1.0) == f(1.0) == 9.0


def test_methods_closures_super_and_private_names(tmp_path):
    m = module(tmp_path, """
        class Base:
            def __init__(self, k):
                self.__k = k
            def scaled(self, x):
                return x * self.__k if x > 0 else x
        class Derived(Base):
            __shift = 1.0
            def scaled(self, x):
                if x > 5:
                    return super().scaled(x) + self.__shift
                return super(Derived, self).scaled(x) - self.__class__.__shift
            @property
            def twice(self):
                return lambda x: self.scaled(x) * 2 if x else 0.0
            @staticmethod
            def half(x):
                return x / 2 if x < 1 else x
            @classmethod
            def make(cls, x):
                return cls(2.0).scaled(x)
            def __call__(self, x):
                return self.twice(x) + self.half(x) + self.make(x)
        d = Derived(3.0)
        def f(x):
            return d.scaled(x) + d.twice(x) + d.half(x) + Derived.make(x) + d(x)
        """)
    agrees(m.f, (-1.0,), (0.5,), (3.0,), (7.0,))
    agrees(m.d.scaled, (-1.0,), (7.0,))


def test_functions_inside_are_staged_with_the_function():
    def f(x: Rep[f64]):
        def outer(y, k=2):
            def inner(z):
                return z if z > y else y * k
            return inner

        def twice(g):
            return lambda z: g(g(z))

        return twice(outer(x))(1.0) + (lambda q: q if q > 0 else -q)(x)

    agrees(f, (-2.0,), (0.5,), (3.0,))


def test_generators_inside_run_now():
    def f(x: Rep[f64]):
        def powers(n):
            y = 1
            for _ in range(n):
                yield y
                y = y * x

        return sum([v for v in powers(4)])

    agrees(f, (2.0,))


def test_tracebacks_show_the_users_program():
    def f(x: Rep[f64], d: dict[str, float] | None = None):
        if x > 0:
            for _ in range(3):
                y = {}["missing"]
        return y

    with pytest.raises(KeyError) as e:
        stage(f)(1.0)
    frames = traceback.extract_tb(e.value.__traceback__)
    assert frames[-1].name == "f" and frames[-1].line == 'y = {}["missing"]'
    assert [frame.name for frame in frames if frame.filename != __file__] in ([], ["__call__"])  # at most the call itself


def test_outside_staging_it_is_plain_python():
    def f(x, n):
        log = []
        for k in range(n):
            if k == 2:
                continue
            log.append(x + k)
            if len(log) > 3:
                break
        else:
            return log
        try:
            return log[10]
        except IndexError:
            return [v for v in log if v > 1]

    g = virtualize(f)
    for n in range(8):
        assert g(1.0, n) == f(1.0, n)
    sys.settrace(None)


def test_nothing_is_left_behind_by_an_error():
    def f(x: Rep[f64], bad: bool):
        if x > 0:
            y = [1][x] if bad else x
        else:
            y = 0.0
        return y

    s = stage(f)
    with pytest.raises(LmsError):
        s(1.0, True)
    assert s(1.0, False) == 1.0
