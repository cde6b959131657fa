"""What colours programs knows the words the grammar knows, and loses no character."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pygments.token import Comment, Error, Generic, Keyword, Name, Number, Operator, Punctuation, String

from lms.frontend.parse import words
from lms.frontend.parse.parser import keywords, tokens
from lms.frontend.tools.highlight import LmsLexer

ROOT = Path(__file__).parents[2]
VSCODE = ROOT / "editors" / "vscode"
PROGRAMS = [*sorted((Path(__file__).parent / "layouts").glob("*.lms")), *sorted((ROOT / "examples").rglob("*.lms"))]


def grammar() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((VSCODE / "syntaxes" / "lms.tmLanguage.json").read_text(encoding="utf-8"))
    return found


def test_the_keywords_are_the_grammars() -> None:
    assert set(words.KEYWORDS) == keywords()


def test_textmate_has_the_same_words() -> None:
    named = {each["name"]: set(each["match"].removeprefix("\\b(").removesuffix(")\\b").split("|"))
             for each in grammar()["repository"]["words"]["patterns"]}
    assert named == {
        "keyword.control.lms": set(words.CONTROL), "storage.type.lms": set(words.DEFINING),
        "constant.language.lms": set(words.CONSTANTS), "storage.modifier.stage.lms": {words.STAGE},
        "support.type.lms": {*words.TYPES, *words.INTERFACES},
    }


def rules(node: Any) -> list[dict[str, Any]]:
    """Every rule of a TextMate grammar."""
    if isinstance(node, list):
        return [rule for each in node for rule in rules(each)]
    if not isinstance(node, dict):
        return []
    return ([node] if {"match", "begin", "include"} & node.keys() else []) + [r for each in node.values() for r in rules(each)]


def test_textmate_rules_are_well_formed() -> None:
    whole = grammar()
    found = rules(whole["patterns"]) + rules(whole["repository"])
    assert len(found) > 20
    for rule in found:
        for part in ("match", "begin", "end"):
            re.compile(rule.get(part, ""))
        if "include" in rule:
            assert rule["include"].removeprefix("#") in whole["repository"]


def test_the_extension_names_files_that_are_there() -> None:
    package = json.loads((VSCODE / "package.json").read_text(encoding="utf-8"))
    language, = package["contributes"]["languages"]
    colours, = package["contributes"]["grammars"]
    assert colours["scopeName"] == grammar()["scopeName"] and language["extensions"] == [".lms"]
    for file in (package["main"], language["configuration"], colours["path"]):
        assert (VSCODE / file).is_file()
    json.loads((VSCODE / language["configuration"]).read_text(encoding="utf-8"))


# what the lexer of the language calls a token, and what Pygments may call it
KINDS = {"NAME": Name, "NUMBER": Number, "STRING": String, "CHARACTER": String, "OPERATOR": Operator, "MINUS": Operator,
         "COMMA": Punctuation, "LBRACE": Punctuation, "DOTS": Operator, "FATARROW": Operator}


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_pygments_sees_what_the_lexer_sees(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = list(LmsLexer(ensurenl=False, stripnl=False).get_tokens_unprocessed(text))
    assert "".join(value for _, _, value in found) == text
    assert not [value for _, kind, value in found if kind in Error]
    at = {start: kind for start, kind, _ in found}
    lines = text.split("\n")
    own, comments = tokens(text)
    for token in own:
        start = sum(len(line) + 1 for line in lines[:token.span.line - 1]) + len(
            lines[token.span.line - 1].encode()[:token.span.column].decode())
        if token.type != "SEP" and start in at:
            wanted = Keyword if token.text in words.KEYWORDS else KINDS.get(token.type)
            assert wanted is None or at[start] in wanted or (wanted is Name and at[start] in Keyword), (token, at[start])
    assert sum(kind in Comment.Single for _, kind, _ in found) == sum(c.kind == "//" for c in comments)
    assert sum(kind in Generic.Output for _, kind, _ in found) == sum(c.kind == "//>" for c in comments)
