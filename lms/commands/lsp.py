"""`lms lsp`: the language server, from what an editor asks (`lms.frontend.tools.editing`) to its protocol, by pygls.

It speaks on standard input and output. Positions are the protocol's: lines from 0, columns in the units the editor asked for.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from lms.core.errors import LmsError, Span
from lms.core.version import VERSION

from .console import Commands, UsageError, add

if TYPE_CHECKING:
    from lsprotocol import types as lsp
    from pygls.lsp.server import LanguageServer

    from lms.frontend.diagnostics import Diagnostic
    from lms.frontend.tools.editing import Document, Symbol

PAUSE = 0.15  # seconds without a key before a text is checked


def register(commands: Commands) -> None:
    add(commands, "lsp", serve, "serve an editor: mistakes, types and stages, definitions, layout, completion", """
lms lsp                    # editors start it; editors/README.md says how
""")


def serve(options: argparse.Namespace) -> None:
    if importlib.util.find_spec("pygls") is None:
        raise UsageError("the language server needs pygls: pip install 'pygls>=2.0'")
    # copies, since pygls closes what it was given
    with open(os.dup(sys.stdin.fileno()), "rb") as source, open(os.dup(sys.stdout.fileno()), "wb") as sink:
        server().start_io(source, sink)


def server() -> LanguageServer:
    """The server, its features registered."""
    from lsprotocol import types as lsp
    from pygls.lsp.server import LanguageServer

    made = LanguageServer("lms", VERSION)
    texts = _Texts(made)
    for feature, handler in (
        (lsp.TEXT_DOCUMENT_DID_OPEN, texts.opened),
        (lsp.TEXT_DOCUMENT_DID_CHANGE, texts.changed),
        (lsp.TEXT_DOCUMENT_DID_CLOSE, texts.closed),
        (lsp.TEXT_DOCUMENT_HOVER, texts.hover),
        (lsp.TEXT_DOCUMENT_DEFINITION, texts.definition),
        (lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL, texts.symbols),
        (lsp.TEXT_DOCUMENT_FORMATTING, texts.formatting),
    ):
        made.feature(feature)(partial(handler))  # pygls writes on what it is given, and a bound method takes nothing
    made.feature(lsp.TEXT_DOCUMENT_COMPLETION, lsp.CompletionOptions(trigger_characters=["."]))(partial(texts.completion))
    return made


class _Texts:
    """The texts an editor has open, each read and checked when it is first asked about."""

    def __init__(self, server: LanguageServer) -> None:
        self.server = server
        self.documents: dict[str, Document] = {}

    def document(self, uri: str) -> Document:
        from lms.frontend.tools.editing import Document

        found = self.server.workspace.get_text_document(uri)
        known = self.documents.get(uri)
        if known is None or known.text != found.source:
            known = self.documents[uri] = Document(found.source, found.path or uri)
        return known

    # ----------------------------------------------------------------------------------------- mistakes

    def opened(self, params: lsp.DidOpenTextDocumentParams) -> None:
        self.publish(params.text_document.uri)

    async def changed(self, params: lsp.DidChangeTextDocumentParams) -> None:
        version = params.text_document.version
        await asyncio.sleep(PAUSE)
        if self.server.workspace.get_text_document(params.text_document.uri).version == version:  # no key since
            self.publish(params.text_document.uri)

    def closed(self, params: lsp.DidCloseTextDocumentParams) -> None:
        from lsprotocol import types as lsp

        self.documents.pop(params.text_document.uri, None)
        self.server.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(params.text_document.uri, []))

    def publish(self, uri: str) -> None:
        """Tell the editor every mistake in a text."""
        from lsprotocol import types as lsp

        document = self.document(uri)
        found = [self.diagnostic(document, uri, each) for each in document.diagnostics]
        self.server.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, found))

    def diagnostic(self, document: Document, uri: str, each: Diagnostic) -> lsp.Diagnostic:
        from lsprotocol import types as lsp

        related = [lsp.DiagnosticRelatedInformation(self.location(document, uri, span), note)
                   for note, span in each.notes if span is not None]
        message = each.message + (f"\nfix: {each.fix}" if each.fix else "")
        return lsp.Diagnostic(self.range(document, each.span), message, severity=lsp.DiagnosticSeverity.Error, code=each.code,
                              source="lms", related_information=related)

    # ----------------------------------------------------------------------------------------- questions

    def hover(self, params: lsp.HoverParams) -> lsp.Hover | None:
        from lsprotocol import types as lsp

        document = self.document(params.text_document.uri)
        found = document.hover(*self.place(document, params.position))
        if found is None:
            return None
        parts = [f"```lms\n{found.code}\n```", f"*{found.stage}*" if found.stage else "", found.doc]
        return lsp.Hover(lsp.MarkupContent(lsp.MarkupKind.Markdown, "\n\n".join(filter(None, parts))),
                         self.range(document, found.span))

    def definition(self, params: lsp.DefinitionParams) -> lsp.Location | None:
        document = self.document(params.text_document.uri)
        span = document.definition(*self.place(document, params.position))
        return None if span is None else self.location(document, params.text_document.uri, span)

    def symbols(self, params: lsp.DocumentSymbolParams) -> list[lsp.DocumentSymbol]:
        document = self.document(params.text_document.uri)
        return [self.symbol(document, each) for each in document.symbols()]

    def symbol(self, document: Document, each: Symbol) -> lsp.DocumentSymbol:
        from lsprotocol import types as lsp

        kinds = {"function": lsp.SymbolKind.Function, "type": lsp.SymbolKind.Enum, "constructor": lsp.SymbolKind.EnumMember}
        return lsp.DocumentSymbol(each.name, kinds.get(each.kind, lsp.SymbolKind.Variable), self.range(document, each.span),
                                  self.range(document, each.name_span),
                                  children=[self.symbol(document, inner) for inner in each.inner])

    def formatting(self, params: lsp.DocumentFormattingParams) -> list[lsp.TextEdit] | None:
        from lsprotocol import types as lsp

        from lms.frontend.tools.format import format_source

        document = self.document(params.text_document.uri)
        try:
            after = format_source(document.text, document.path)
        except LmsError:
            return None  # the editor shows the mistakes already
        whole = lsp.Range(lsp.Position(0, 0), lsp.Position(document.text.count("\n") + 1, 0))
        return [lsp.TextEdit(whole, after)] if after != document.text else []

    def completion(self, params: lsp.CompletionParams) -> list[lsp.CompletionItem]:
        from lsprotocol import types as lsp

        kind = lsp.CompletionItemKind
        kinds = {"function": kind.Function, "type": kind.Class, "constructor": kind.EnumMember, "variable": kind.Variable,
                 "module": kind.Module, "keyword": kind.Keyword, "field": kind.Field}
        document = self.document(params.text_document.uri)
        return [lsp.CompletionItem(c.word, kind=kinds[c.kind], detail=c.detail or None, documentation=c.doc or None)
                for c in document.completions(*self.place(document, params.position))]

    # ------------------------------------------------------------------------------------------- places

    def place(self, document: Document, position: lsp.Position) -> tuple[int, int]:
        """A position of the protocol as a line from 1 and a column in bytes."""
        lines = document.text.split("\n")
        found = self.server.workspace.position_codec.position_from_client_units(lines, position)
        return found.line + 1, len(lines[found.line][:found.character].encode())

    def range(self, document: Document, span: Span | None) -> lsp.Range:
        from lsprotocol import types as lsp

        if span is None:
            return lsp.Range(lsp.Position(0, 0), lsp.Position(0, 0))
        lines = document.text.split("\n")
        return lsp.Range(self.position(lines, span.line, span.column), self.position(lines, span.end_line, span.end_column))

    def position(self, lines: list[str], line: int, column: int) -> lsp.Position:
        from lsprotocol import types as lsp

        text = lines[line - 1] if 0 < line <= len(lines) else ""
        characters = len(text.encode()[:column].decode(errors="replace"))
        converted: Any = self.server.workspace.position_codec.position_to_client_units([text], lsp.Position(0, characters))
        return lsp.Position(max(line - 1, 0), converted.character)

    def location(self, document: Document, uri: str, span: Span) -> lsp.Location:
        """A place in this text, or in another file."""
        from lsprotocol import types as lsp
        from pygls.uris import from_fs_path

        if span.file == document.path:
            return lsp.Location(uri, self.range(document, span))
        start = lsp.Position(max(span.line - 1, 0), span.column)
        return lsp.Location(from_fs_path(span.file) or uri, lsp.Range(start, start))
