"""`lms cache`: the cache of compiled code."""

from __future__ import annotations

import argparse

from .console import Commands, add


def register(commands: Commands) -> None:
    parser = add(commands, "cache", cache, "show, clear or trim the cache of compiled code", """
lms cache
lms cache clear
""")
    parser.add_argument("action", choices=("info", "clear", "trim"), nargs="?", default="info")


def cache(options: argparse.Namespace) -> None:
    from lms.backends.llvm import cache

    if options.action == "clear":
        cache.clear()
    elif options.action == "trim":
        cache.trim()
    for key, value in cache.info().items():
        print(f"{key:10} {value}")
