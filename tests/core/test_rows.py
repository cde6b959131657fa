"""Every row of the table: what its NumPy meaning gives is of the type its rule says."""

import pytest

from lms.core.primitives import PRIMITIVES
from tests.support.rows import CONTROL, Row, rows, shaped_as


def test_every_primitive_has_operands_to_be_tested_with() -> None:
    assert {row.op.name for row in rows()} == PRIMITIVES.keys() - CONTROL


@pytest.mark.parametrize("row", rows(), ids=str)
def test_meaning_and_type_agree(row: Row) -> None:
    assert row.op.eager is not None
    types = row.op.type(row.types, row.attrs)
    out = row.op.eager(*row.fresh(), **row.attrs)
    if not types:
        assert out is None
    else:
        for value, t in zip(out if isinstance(out, tuple) else (out,), types, strict=True):
            assert shaped_as(value, t), f"{value!r} is not {t}"
