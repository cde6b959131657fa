"""Text to tree: what ends a statement, how tightly operators bind, and that places and comments are kept."""

from pathlib import Path

import pytest

from lms.core import disk
from lms.frontend.diagnostics import SourceErrors
from lms.frontend.parse import parser
from lms.frontend.parse import syntax as s
from lms.frontend.parse.parser import is_complete, parse, parse_expression, parse_partial, parse_type
from lms.frontend.parse.walk import same


def shape(e: object) -> str:
    """An expression with all its parentheses."""
    match e:
        case s.Int() | s.Float() | s.Str() | s.Char():
            return e.text
        case s.Name():
            return e.name
        case s.Unary():
            return f"({e.op}{shape(e.operand)})"
        case s.Binary():
            return f"({shape(e.left)} {e.op} {shape(e.right)})"
        case s.Range():
            ends = [shape(x) if x else "" for x in (e.start, e.stop)]
            return f"({ends[0]}{'..=' if e.inclusive else '..'}{ends[1]}{' by ' + shape(e.step) if e.step else ''})"
        case s.Call():
            return f"{shape(e.function)}({', '.join((a.name + '=' if a.name else '') + shape(a.value) for a in e.args)})"
        case s.Index():
            return f"{shape(e.value)}[{', '.join(map(shape, e.args))}]"
        case s.Field():
            return f"{shape(e.value)}.{e.name}"
        case s.Tuple():
            return f"<{', '.join(map(shape, e.items))}>"
    raise AssertionError(e)


@pytest.mark.parametrize(("text", "tree"), [
    ("1 + 2 * 3", "(1 + (2 * 3))"),
    ("a - b - c", "((a - b) - c)"),
    ("-x ** 2", "(-(x ** 2))"),
    ("2 ** -x ** 3", "(2 ** (-(x ** 3)))"),
    ("a ** b ** c", "(a ** (b ** c))"),
    ("-a * b", "((-a) * b)"),
    ("!a && b || c", "(((!a) && b) || c)"),
    ("a < b && c == d", "((a < b) && (c == d))"),
    ("a | b ^ c & d << 1 + 2", "(a | (b ^ (c & (d << (1 + 2)))))"),
    ("0..n + 1", "(0..(n + 1))"),
    ("0..=n by 2 * k", "(0..=n by (2 * k))"),
    ("x @ w * y", "((x @ w) * y)"),
    ("(a + b) * c", "((a + b) * c)"),
    ("a[1.., .., ..3, i]", "a[(1..), (..), (..3), i]"),
    ("f[3](x, axis = 0).y", "f[3](x, axis=0).y"),
    ("(a, b,)", "<a, b>"),
    ("(a,)", "<a>"),
    ("()", "<>"),
    ("0x_ff + 1_00u8", "(0x_ff + 1_00u8)"),
])
def test_operators_bind_as_the_table_says(text: str, tree: str) -> None:
    assert shape(parse_expression(text)) == tree


@pytest.mark.parametrize(("text", "count"), [
    ("a\nb", 2),
    ("a; b;\n c", 3),
    ("a +\nb", 1),
    ("a\n|| b", 1),
    ("f(a,\n\n b)", 1),
    ("a\n-b", 2),
    ("a\n(b)", 2),
    ("a\n[b]", 2),
    ("a\n  .b", 1),
    ("if a { b }\nelse { c }", 1),
    ("let f = fn(x: f64) =>\n  x", 1),
    ("data T = A\n  | B\n  | C", 1),
    ("def f(): i64 =\n\n  3\nf()", 2),
    ("// nothing", 0),
    ("a /* in /* nested */ side */ + b // c", 1),
    ("{ a\n\n b }\n\n\n", 1),
])
def test_a_newline_ends_a_statement_where_it_can(text: str, count: int) -> None:
    assert len(parse(text).items) == count


def test_every_construct_parses(tmp_path: Path) -> None:
    module = parse("""
import linalg as la
from trees import depth, Tree
/// The power of a number,
/// by squaring.
export def power[T: Num, n](b: T, mut out: Rep[f64[n, 2 * n + 1]], k: i64 = 3): T = {
  var s: f64 = 0.0
  let (a, _) = (1, "two {three}")
  for i in 0..n, x in xs { s += x; continue }
  while s < 3.0 { break }
  out[0, ..] = s
  if a == 'c' { return s }
  match tree { Leaf(w) if w > 0 => w, Node(left = l, right = _) | la.Nil => -1; [a, ..rest] => 2
    ("s", true, -1.5) => { 3 } }
}
data Tree = Leaf(word: i64) | Node(left: Tree, right: Tree) | Nil
derivative power(b) = (b, fn(dy) => dy)
let f: (f64, Pair[i64, (f64, u8)]) -> () = fn(a, b: f64): f64 => a
reset { 1 + shift { k: (i64) -> i64 => k(k(10)) } }
p with (x = 2.0)
[for i in 0..n, j in 0..m => a[i, j]]
""")
    names = [type(item).__name__ for item in module.items]
    assert names == ["Import", "FromImport", "Def", "Data", "Derivative", "Let", "Reset", "With", "Comprehension"]
    power = module.items[2]
    assert isinstance(power, s.Def) and power.exported and power.doc == "The power of a number,\nby squaring."
    assert [g.is_type for g in power.generics] == [True, False]
    assert [(p.name, p.mut, p.default is not None) for p in power.params] == [
        ("b", False, False), ("out", True, False), ("k", False, True)]


def test_places_are_the_sources() -> None:
    module = parse("let θ = 1\nlet y =\n  θ + 2", "here.lms")
    y = module.items[1]
    assert isinstance(y, s.Let)
    assert (y.span.line, y.span.column, y.span.end_line) == (2, 0, 3)
    assert (y.value.span.line, y.value.span.column, y.value.span.end_column) == (3, 2, 8)  # bytes
    assert y.value.span.show() == "    3 | θ + 2\n      | ^^^^^"


def test_comments_are_kept() -> None:
    module = parse("// a\nlet x = 1 // b\n//> 1\n/// doc\nlet y = 2 /* c */\n//// not doc\n")
    assert [(c.kind, c.text, c.own_line) for c in module.comments] == [
        ("//", "// a", True), ("//", "// b", False), ("//>", "//> 1", True), ("///", "/// doc", True), ("/*", "/* c */", False),
        ("//", "//// not doc", True)]


def test_parentheses_are_remembered() -> None:
    module = parse("let x = (a + b) * (c)")
    assert sorted(shape(e) for e in module.parenthesised) == ["(a + b)", "c"]


def test_trees_are_the_same_but_for_places_and_spelling() -> None:
    one, other = parse("let x = f(1_0,\n 0x10) // a"), parse("let x=f(10, 16)")
    assert same(one, other)
    assert not same(one, parse("let x = f(10, 17)"))
    assert not same(one, parse("let x = f(10, 16.0)"))


def test_a_mistake_in_one_definition_leaves_the_others() -> None:
    module, errors = parse_partial("def f( = 1\ndef g(): i64 = { 2\ndef h(): i64 = 3\nlet x = 4 5\nlet y = 6\n")
    assert [getattr(item, "name", None) or type(item).__name__ for item in module.items] == ["h", "Let"]
    assert [e.code for e in errors] == ["E0101", "E0102", "E0101"]


@pytest.mark.parametrize("text", ["let x = b[:, 0]", "let x = b[1:3]"])
def test_a_slice_with_a_colon_says_how_it_is_written(text: str) -> None:
    _, (error,) = parse_partial(text)
    assert error.code == "E0101" and "`a[1..n]`" in error.fix
    _, (other,) = parse_partial("let x = f(1: 3)")
    assert "a[1..n]" not in other.fix


def test_types_parse() -> None:
    t = parse_type("(Rep[f64[n + 1, 3]], ()) -> linalg.Matrix")
    assert isinstance(t, s.ArrowType) and isinstance(t.result, s.NamedType) and t.result.name == "linalg.Matrix"
    with pytest.raises(SourceErrors, match="E0101"):
        parse_type("f64 f64")


@pytest.mark.parametrize(("text", "complete"), [
    ("1 + 2", True), ("1 +", False), ("def f() = {", False), ("f(1,", False), ("/* open", False), ("", True), ("let = 3", True)])
def test_a_prompt_knows_when_to_stop_reading(text: str, complete: bool) -> None:
    assert is_complete(text) == complete


def test_reading_takes_time_in_proportion() -> None:
    from time import perf_counter

    text = "def f(x: f64, y: f64): f64 = {\n  let a = x * y + 2.0\n  g(a, y, [1, 2, 3])[0]\n}\n"
    parse(text)

    def seconds(times: int) -> float:
        start = perf_counter()
        parse(text * times)
        return perf_counter() - start

    assert min(seconds(400) for _ in range(3)) < 8 * min(seconds(100) for _ in range(3))


@pytest.mark.parametrize("damage", [None, b"", b"nonsense\n\x80\x04", b"\0" * 4000])
def test_tables_that_are_kept_read_the_same(damage: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMS_CACHE_DIR", str(tmp_path / "cache"))
    text = "def f(x: Rep[f64]): Rep[f64] =\n  if x > 0.0 { x * 2.0 } else { -x }\n"
    first = parse(text, "<text>")
    for _ in range(2):  # making the tables, then using them
        parser._grammar.cache_clear()
        assert same(parse(text, "<text>"), first)
        table, = (tmp_path / "cache").rglob("*" + disk.TABLE)
        assert table.parent.name == disk.LIBRARY
    if damage is not None:
        table.write_bytes(damage)
        parser._grammar.cache_clear()
        assert same(parse(text, "<text>"), first)


def test_without_a_place_the_tables_are_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LMS_CACHE_DIR", str(tmp_path / "file"))
    parser._grammar.cache_clear()
    assert parse_type("Rep[f64]")
