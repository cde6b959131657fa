"""The law of programs: sound ones pass, and each way to break it is found, with the node, the function and the pass."""

from collections.abc import Callable

import pytest

from lms.core import primitives as p
from lms.core.errors import VerifyError
from lms.core.ir import Block, Node, Program, Value, walk
from lms.core.parse_text import parse_program
from lms.core.types import ArrayType, f32, f64, symbol
from lms.core.verify import verify, verify_lowered
from tests.support.programs import SAMPLES, Sample

TEXT = """\
entry def f(%x: f64[n], mut %out: f64[n], %k: i64) -> (f64) {
  %n: i64 = dim %x {axis=0}
  %zero: i64 = 0
  %one: i64 = 1
  %init: f64 = 0.0
  %s: f64 = for %i in %zero, %n, %one with %acc: f64 = %init {
    %xi: f64 = load %x, %i
    %next: f64 = add %acc, %xi
    store %out, %next, %i
    yield %next
  }
  %big: bool = gt %k, %one
  %r: f64 = if %big {
    %twice: f64 = add %s, %s
    yield %twice
  } else {
    yield %s
  }
  %y: f64 = while with %a: f64 = %r {
    %more: bool = lt %a, %init
    yield %more
  } do %b: f64 {
    %c: f64 = call @g(%b)
    yield %c
  }
  return %y
}
def g(%z: f64) -> (f64) {
  %w: f64 = neg %z
  return %w
}
"""


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_samples_are_lawful(sample: Sample) -> None:
    verify(sample.program())


class Subject:
    """The program above, taken apart."""

    def __init__(self) -> None:
        self.program = parse_program(TEXT)
        self.f, self.g = self.program.functions.values()
        self.nodes = {v.name: node for node in walk(self.f.body) for v in node.results}
        self.nodes |= {node.op.name: node for node in walk(self.f.body)}
        self.values = {v.name: v for node in walk(self.f.body) for v in node.results}

    def use(self, node: str, *operands: Value) -> None:
        self.nodes[node].operands = operands


def break_scope(s: Subject) -> None:
    s.use("y", s.values["twice"])


def use_before(s: Subject) -> None:
    s.use("big", s.values["n"], s.values["n"])
    s.f.body.nodes.remove(s.nodes["n"])


def define_twice(s: Subject) -> None:
    s.f.body.nodes.append(s.nodes["big"])


def share_a_block(s: Subject) -> None:
    s.nodes["if"].blocks = (s.nodes["if"].blocks[0],) * 2


def lose_back_link(s: Subject) -> None:
    s.values["n"].node = s.nodes["big"]


def lose_block(s: Subject) -> None:
    s.values["xi"].block = s.f.body


def wrong_type(s: Subject) -> None:
    s.values["xi"].type = f32


def wrong_operand(s: Subject) -> None:
    s.use("next", s.values["xi"], s.values["n"])


def missing_attribute(s: Subject) -> None:
    s.nodes["n"].attrs.clear()


def branch_gives_other(s: Subject) -> None:
    s.nodes["if"].blocks[1].results = (s.values["n"],)


def branch_gives_nothing(s: Subject) -> None:
    s.nodes["if"].blocks[1].results = ()


def loop_carries_other(s: Subject) -> None:
    s.nodes["for"].blocks[0].results = (s.nodes["for"].blocks[0].params[0],)


def counter_is_float(s: Subject) -> None:
    (body,) = s.nodes["for"].blocks
    body.params[0].type, body.results = f64, body.params[1:]
    body.nodes.clear()


def step_is_zero(s: Subject) -> None:
    s.use("for", s.values["zero"], s.values["n"], s.values["zero"], s.values["init"])


def step_is_unknown(s: Subject) -> None:
    s.use("for", s.values["zero"], s.values["n"], s.values["n"], s.values["init"])


def condition_is_number(s: Subject) -> None:
    s.nodes["while"].blocks[0].results = s.nodes["while"].blocks[0].params


def condition_writes(s: Subject) -> None:
    condition = s.nodes["while"].blocks[0]
    condition.nodes.append(Node(p.array.store, (s.f.body.params[1], s.values["init"], s.values["zero"])))


def callee_is_unknown(s: Subject) -> None:
    s.nodes["call"].attrs["callee"] = "h"


def callee_takes_other(s: Subject) -> None:
    s.use("call", s.values["n"])


def callee_gives_other(s: Subject) -> None:
    s.g.body.results = (*s.g.body.results, *s.g.body.results)


def writes_to_argument(s: Subject) -> None:
    s.nodes["store"].operands = (s.f.body.params[0], *s.nodes["store"].operands[1:])


def writes_through_a_view(s: Subject) -> None:
    x = s.f.body.params[0]
    view = Value(ArrayType(f64, (symbol("n"),)), "seen", block=s.f.body)
    view.node = Node(p.array.view, (x,), {"spec": (("all",),), "dims": (symbol("n"),)}, results=(view,))
    s.f.body.nodes[5:5] = [view.node, Node(p.array.store, (view, s.values["init"], s.values["zero"]))]


def unknown_error(s: Subject) -> None:
    s.f.body.nodes.append(Node(p.control.check, (s.values["big"],), {"error": "Oops", "message": ""}))


def misnamed(s: Subject) -> None:
    s.g.name = "h"


def mut_is_no_array(s: Subject) -> None:
    s.f.mut = frozenset({2})


BROKEN: list[tuple[Callable[[Subject], None], str, str]] = [
    (break_scope, "%twice is used where it is not visible", "while"),
    (use_before, "%n is used and not defined before", "for"),
    (define_twice, "%big is defined twice", "gt %k, %one"),
    (share_a_block, "%twice is defined twice", "add %s, %s"),
    (lose_back_link, "points back to another node", "dim %x"),
    (lose_block, "points back to another block", "load %x"),
    (wrong_type, "it gives (f64), recorded as (f32)", "load %x"),
    (wrong_operand, "types differ: f64 and i64", "add %xi, %n"),
    (missing_attribute, "an operand or attribute is missing or wrong (KeyError: 'axis')", "dim %x"),
    (branch_gives_other, "results of 'else': i64 cannot stand for f64", "if %big"),
    (branch_gives_nothing, "results of 'else': 1 expected, 0 found", "if %big"),
    (loop_carries_other, "carried to the next iteration: i64 cannot stand for f64", "for %zero"),
    (counter_is_float, "its body does not take a counter", "for %zero"),
    (step_is_zero, "its step is not a constant other than 0", "for %zero"),
    (step_is_unknown, "its step is not a constant other than 0", "for %zero"),
    (condition_is_number, "its condition does not give one bool", "while %r"),
    (condition_writes, "its condition writes", "while %r"),
    (callee_is_unknown, "there is no function called 'h'", "call %b"),
    (callee_takes_other, "the callee takes (f64), here (i64)", "call %n"),
    (callee_gives_other, "the callee gives (f64, f64), here (f64)", "call %b"),
    (writes_to_argument, "%x is written to and not `mut`", "store %x"),
    (writes_through_a_view, "%x is written to and not `mut`", "store %seen"),
    (unknown_error, "there is no error called Oops", "check %big"),
]


@pytest.mark.parametrize(("damage", "message", "line"), BROKEN, ids=lambda each: getattr(each, "__name__", ""))
def test_each_breach_is_found(damage: Callable[[Subject], None], message: str, line: str) -> None:
    subject = Subject()
    damage(subject)
    with pytest.raises(VerifyError) as found:
        verify(subject.program, after="tidy")
    text = str(found.value)
    assert "after tidy: in f: " in text
    assert message in text
    assert line in text


@pytest.mark.parametrize(("damage", "message"), [
    (misnamed, "the function is called 'h'"), (mut_is_no_array, "parameter 2 is `mut` but no array")])
def test_each_breach_of_a_function_is_found(damage: Callable[[Subject], None], message: str) -> None:
    subject = Subject()
    damage(subject)
    with pytest.raises(VerifyError, match=message):
        verify(subject.program)


def test_an_entry_is_needed() -> None:
    with pytest.raises(VerifyError, match="no function called '' to enter"):
        verify(Program())


def test_a_dimension_may_be_looked_up_where_a_symbol_is_declared() -> None:
    text = """\
entry def f(%x: f64[n], %y: f64[3], %c: bool) -> (f64[m]) {
  %r: f64[m] = if %c {
    yield %x
  } else {
    yield %y
  }
  return %r
}
"""
    verify(parse_program(text))
    fixed = text.replace("f64[m]", "f64[3]")
    with pytest.raises(VerifyError, match=r"results of 'then': f64\[n\] cannot stand for f64\[3\]"):
        verify(parse_program(fixed))


def test_a_local_array_may_be_written_in_a_condition() -> None:
    verify(parse_program("""\
entry def f(%x: i64) -> (i64) {
  %zero: i64 = 0
  %one: i64 = 1
  %y: i64 = while with %a: i64 = %x {
    %t: i64[1] = empty %one {dims=[1], dtype=i64}
    store %t, %a, %zero
    %v: i64 = load %t, %zero
    %c: bool = gt %v, %zero
    yield %c
  } do %b: i64 {
    %d: i64 = sub %b, %one
    yield %d
  }
  return %y
}
"""))


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_lowered_programs_are_told_apart(sample: Sample) -> None:
    program = sample.program()
    whole = {"copy"} | {name for name, op in p.PRIMITIVES.items() if not op.lowered}
    nodes = [node for f in program.functions.values() for node in walk(f.body)]
    if any(node.op.name in whole or node.op.elementwise and isinstance(node.operands[0].type, ArrayType) for node in nodes):
        with pytest.raises(VerifyError, match="after lower: in .*: it is not lowered"):
            verify_lowered(program, after="lower")
    else:
        verify_lowered(program)


def test_blocks_must_agree_in_number() -> None:
    subject = Subject()
    subject.nodes["for"].blocks = (*subject.nodes["for"].blocks, Block())
    with pytest.raises(VerifyError, match="it has 2 blocks, not 1"):
        verify(subject.program)


