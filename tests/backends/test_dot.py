"""Pictures: clusters for blocks, solid edges for data, dashed ones for effects, two colours for the halves of derivatives."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lms.backends import html
from lms.backends.dot import COLOURS, emit, write
from lms.core.errors import LmsError
from lms.core.ir import Program
from lms.core.types import f64
from tests.support.build import Emit, vector
from tests.support.programs import SAMPLES, Sample


def sample(name: str) -> Program:
    return next(s for s in SAMPLES if s.name == name).program()


def edges(source: str, style: str = "") -> set[tuple[str, str]]:
    """The edges of the program, not of the legend, as pairs of labels; of a style, or those that have none."""
    labels = {name: label.replace("\n", " ") for name, label in re.findall(r'^\t*(\w+) \[label="([^"]*)"', source, re.M)}
    found = set()
    for start, end, rest in re.findall(r"^\t*(\w+) -> (\w+)(.*)$", source, re.M):
        if (f"style={style}" in rest if style else "style=" not in rest) and not start.startswith("legend"):
            found.add((labels[start], labels[end]))
    return found


@pytest.mark.parametrize("each", SAMPLES, ids=str)
def test_samples_are_drawn(each: Sample) -> None:
    program = each.program()
    source = emit(program)
    assert source.count("{") == source.count("}")
    for name in program.functions:
        assert f'label="{name} (entry)"' in source or f"label={name} " in source


def test_data_flows_along_solid_edges() -> None:
    assert edges(emit(sample("straight_line"))) == {
        ("%x: f64", "%0 = mul %x, %x"), ("%x: f64", "%1 = div %y, %x"), ("%y: f64", "%1 = div %y, %x"),
        ("%0 = mul %x, %x", "%2 = sub %0, %1"), ("%1 = div %y, %x", "%2 = sub %0, %1"), ("%2 = sub %0, %1", "return %2")}


def test_constants_stand_where_they_are_used() -> None:
    source = emit(sample("square_until"))
    assert ("%y: f64", "%2 = lt %y, 100.0") in edges(source)
    assert "const" not in source


def test_carried_values_flow_into_the_loop_and_out() -> None:
    flow = edges(emit(sample("square_until")))
    assert {("%x: f64", "%y: f64"), ("%x: f64", "%y_1: f64"), ("yield %3", "return %0")} <= flow


def test_effects_are_dashed() -> None:
    """x = a[1:3]; a[1] = 5; x[0]: the write comes before the read, and nothing else orders them."""
    assert edges(emit(sample("slice_write_read")), "dashed") == {("store %a, 5.0, 1", "%5 = load %2, 0")}
    assert edges(emit(sample("straight_line")), "dashed") == set()


def test_effects_that_follow_from_others_are_left_out() -> None:
    e = Emit()
    with e.function("f", vector(), names="a", mut=frozenset({0})) as f:
        (a,) = f.body.params
        for value in (1.0, 2.0, 3.0):
            e.store(a, value, 0)
    dashed = edges(emit(e.program), "dashed")
    assert dashed == {("store %a, 1.0, 0", "store %a, 2.0, 0"), ("store %a, 2.0, 0", "store %a, 3.0, 0")}


def test_results_come_after_what_is_written_to_them() -> None:
    dashed = edges(emit(sample("gather_and_scatter")), "dashed")
    assert {("add_at %1, %k, %5", "return %6, %8, %1, %2, %9"), ("put %2, %k, %5", "return %6, %8, %1, %2, %9")} <= dashed


def test_blocks_are_clusters() -> None:
    source = emit(sample("nested_loops"))
    assert re.findall(r"label=(\w+) labeljust", source) == ["for", "body", "for", "body", "if", "then", "else", "legend"]


def halves() -> Program:
    e = Emit()
    with e.function("f", f64, names="x") as f:
        (x,) = f.body.params
        with e.b.on("forward"):
            y = e.exp(x)
        with e.b.on("backward"):
            e.ret(f, e.mul(y, y))
    return e.program


def test_halves_have_colours_and_a_legend() -> None:
    source = emit(halves())
    assert re.search(rf'exp %x" fillcolor="{COLOURS["forward"]}"', source)
    assert re.search(rf'mul %0, %0" fillcolor="{COLOURS["backward"]}"', source)
    assert 'label="forward half"' in source
    assert 'label="backward half"' in source
    assert "half" not in emit(sample("straight_line"))


def test_tooltips_show_the_users_line() -> None:
    source = emit(halves())
    assert re.search(r"tooltip=\"%0: f64 = exp %x\n.*build\.py:\d+\n", source)


def test_dot_file(tmp_path: Path) -> None:
    path = write(sample("swap"), tmp_path / "swap.dot")
    assert path.read_text(encoding="utf-8") == emit(sample("swap"))


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_without_dot_the_error_says_so(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LmsError, match="the program `dot` is not found on PATH") as found:
        write(sample("swap"), tmp_path / f"swap{suffix}")
    assert "write .html" in str(found.value)
    assert not (tmp_path / f"swap{suffix}").exists()


def test_dot_is_given_the_source_and_the_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "dot"
    program.write_text("#!/bin/sh\nprintf '%s|' \"$*\"\nexec /bin/cat\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    path = write(sample("swap"), tmp_path / "swap.svg")
    flags, _, source = path.read_text(encoding="utf-8").partition("|")
    assert "-Tsvg" in flags.split()
    assert source.strip() == emit(sample("swap")).strip()


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LmsError, match=r"a picture ends in \.dot, \.html, \.svg or \.png"):
        write(sample("swap"), tmp_path / "swap.gif")


# ----------------------------------------------------------------------------------------------- pages


def test_a_page_needs_nothing_else(tmp_path: Path) -> None:
    page = write(sample("bag_of_arrays"), tmp_path / "bag.html").read_text(encoding="utf-8")
    assert "Viz.js" in page
    markup = page.replace(html._viz(), "")
    assert not re.findall(r"(?:src|href)=", markup)
    assert "http" not in markup
    assert "data Bag = Empty() | More(head: f64[d$0], tail: Bag)" in markup


def test_lines_and_boxes_have_the_same_names() -> None:
    program = sample("mutual_recursion")
    boxes = dict(re.findall(r'label="([^"]*)" fillcolor="[^"]*" id=(\w+)', emit(program)))
    lines = {name: line for name, line in re.findall(r'<span data-node="(\w+)">(.*)</span>', html.page(program))}
    assert len(lines) == sum(len(list(f.body.nodes)) + sum(len(b.nodes) for n in f.body.nodes for b in n.blocks)
                             for f in program.functions.values())
    for label, name in boxes.items():
        made = label.partition(" =")[0]
        assert lines[name].startswith(made), (label, lines[name])


def test_text_cannot_end_its_script() -> None:
    e = Emit()
    with e.function("f", names="") as f:
        e.print(template="</script><b>&", end="")
        e.ret(f)
    page = html.page(e.program)
    assert page.count("</script>") == 2
    assert "&lt;/script&gt;&lt;b&gt;&amp;" in page


def test_the_page_draws(tmp_path: Path) -> None:
    """The program on the page, run by Node, turns the source on the page into SVG."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node")
    program = sample("nested_loops")
    script = tmp_path / "draw.js"
    script.write_text(f"{html._viz()};\nconst Viz = module.exports;\nconst source = {json.dumps(emit(program))};\n"
                      "Viz.instance().then(viz => console.log(viz.renderString(source, {format: 'svg'})))", encoding="utf-8")
    done = subprocess.run([node, script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "<svg" in done.stdout
    for label in ("%n: i64", "add %i, %j", "yield %10, %11", "legend"):
        assert label in done.stdout
