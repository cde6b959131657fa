"""What a staged value is, what it is not, and how literals join types."""

import copy

import numpy as np
import pytest

import lms
from lms import Array, Mut, Rep, Static, bool_, c128, f32, f64, i8, i32, i64, u8
from lms.core.builder import Builder, building
from lms.core.ir import Program
from lms.core.types import ArrayType, Dim, SumType, symbol
from lms.staging.annotations import Annotation, scalar_type, size_of
from lms.staging.joins import join_types, promote
from lms.staging.rep import Rep as Staged
from lms.staging.rep import Weak, lift


@pytest.fixture
def later():
    """A function of the program being built: a float, an array of unknown size, an array of known size, an int."""
    program = Program()
    builder = Builder(program)
    types = [f64, ArrayType(f64, (symbol("n"),)), ArrayType(f64, (2, 3)), i64]
    with building(builder), builder.function("f", types, ["x", "a", "m", "k"]) as f:
        program.entry = "f"
        yield [Staged(v) for v in f.body.params]


def test_attributes(later):
    x, a, m, k = later
    assert (x.ndim, a.ndim, m.ndim) == (0, 1, 2)
    assert x.shape == () and m.shape == (2, 3) and m.size == 6
    assert isinstance(a.shape[0], Weak) and a.shape[0].value is a.shape[0].value
    assert (x.dtype, k.dtype) == (np.float64, np.int64)
    assert len(m) == 2 and [row.type for row in m] == [ArrayType(f64, (3,))] * 2
    assert repr(a) == "Rep[f64[n]](a)"
    assert copy.copy(x) is x and copy.deepcopy([x])[0] is x
    twice = copy.deepcopy([a, a])
    assert copy.copy(a).value is not a.value and twice[0].value is not a.value and twice[0] is twice[1]
    with pytest.raises(AttributeError, match="no attribute 'foo'"):
        _ = x.foo


TOO_EARLY = [bool, int, float, complex, hash, str.format, list, np.array, lambda a: a[0:1].__len__(), lambda a: {a: 1},
lambda a: [1, 2][a]]


@pytest.mark.parametrize("k", range(len(TOO_EARLY)))
def test_what_needs_a_value_now(later, k):
    f, a = TOO_EARLY[k], later[1]
    with pytest.raises(lms.StagingError, match="exists later") as e:
        f"{a}" if f is str.format else f(a)
    assert "fix:" in str(e.value) and __file__ in str(e.value)


def test_literals_take_the_type_of_the_other_operand(later):
    x, a, _, k = later
    for y in (x + 1, 1 + x, x * 2.5, 2 / x, x**2, x - True):
        assert y.type == f64
    assert (k + 1).type == i64 and (k + 1.5).type == f64 and (k / 2).type == f64
    assert (k // 2).type == i64 and (k * 1j).type == c128
    assert (x + k).type == f64 and (a + k).type == a.type and (x < 1).type == bool_
    assert (a + np.float32(1)).type == a.type
    with pytest.raises(lms.StagingError, match="does not fit"):
        _ = k + 2**70


def test_unsupported_operands_are_a_type_error(later):
    with pytest.raises(TypeError):
        _ = later[0] + "text"
    with pytest.raises(TypeError):
        _ = later[0] @ 2
    assert (later[0] == "text") is False


def test_a_constant_product_is_shared(later):
    x = later[0]
    assert (x * x).value is (x * x).value


def test_lift():
    with building(Builder(Program())) as _, pytest.raises(lms.StagingError):
        lift("text")
    with pytest.raises(lms.StagingError, match="no program is being staged"):
        lift(1.0)


# ---------------------------------------------------------------------------------------------- joins


@pytest.mark.parametrize("a, b, joined", [
    (0, 1, i64), (0, 1.5, f64), (True, 2, i64), (1.0, 2j, c128), (0, f64, f64), (f32, 0, f32), (1.5, f32, f32), (i64, 3, i64),
    (u8, 1, u8),
    (f64, f64, f64), (True, bool_, bool_), (0, c128, c128),
])
def test_join(a, b, joined):
    assert join_types(a, b) == joined


def test_joined_arrays_get_a_fresh_size():
    n, m = symbol("n"), symbol("m")
    t = join_types(ArrayType(f64, (n, 3)), ArrayType(f64, (m, 3)))
    assert isinstance(t, ArrayType) and t.dims[1] == 3 and t.dims[0] not in (n, m)
    assert join_types(ArrayType(f64, (n,)), ArrayType(f64, (n,))) == ArrayType(f64, (n,))
    assert join_types(ArrayType(f64, (n,), "S"), ArrayType(f64, (m,))).layout == "S"


@pytest.mark.parametrize("a, b", [(f64, i64), (1.5, i64), (f64, ArrayType(f64, (2,))), (ArrayType(f64, (2,)), ArrayType(f32,
                                  (2,))),
                                  (SumType("A"), SumType("B")), (0, SumType("A")), (1j, f64)])
def test_types_that_do_not_join(a, b):
    with pytest.raises(TypeError, match="'s' has two types where the paths meet"):
        join_types(a, b, name="s")


def test_promotion():
    assert promote(1, 2.0) == f64 and promote(np.float32(1), 2.0) == f32 and promote(np.int8(1), 2) == i8
    assert promote(np.int32(1), 1.5) == f64 and promote(np.zeros(1, np.int32), np.int8(1)) == i32
    with pytest.raises(TypeError, match="expected a number"):
        promote("text")


# ---------------------------------------------------------------------------------------- annotations


def test_annotations():
    n, m = lms.dims("n m")
    assert Rep[f64] == Annotation("rep", f64) and Rep[float] == Annotation("rep", f64) and Rep["f64"] == Annotation("rep", f64)
    assert Rep[Array[f64, n, 3]] == Annotation("rep", ArrayType(f64, (n, 3)))
    assert Array[f64, "2*n+m-1"] == ArrayType(f64, (2 * n + m - 1,))
    assert Mut[Array[f64, n]] == Annotation("rep", ArrayType(f64, (n,)), mut=True) == Rep[Mut[Array[f64, n]]]
    assert Static[int] == Annotation("static", int)
    assert isinstance(lms.dims("k"), Dim)


@pytest.mark.parametrize("wrong", ["n/2", "f(n)", "", "1.5", "2 n"])
def test_what_is_no_dimension(wrong):
    with pytest.raises(lms.StagingError, match="is not a dimension"):
        size_of(wrong)


def test_what_is_no_scalar_type():
    assert scalar_type(np.float32) == scalar_type("float32") == scalar_type(np.dtype("f4")) == f32
    with pytest.raises(TypeError, match="is not a type of numbers"):
        scalar_type("text")
