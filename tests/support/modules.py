"""Modules forgotten for one test, as if its process had never read them."""

from __future__ import annotations

import sys

import pytest


def forget(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Have the modules ``names`` read anew; after the test the old ones are back, in their packages too.

    ``sys.modules`` is half of it: a package's attribute would go on naming the module that the test had read,
    and whoever looks a module up by its dotted path would find that one.
    """
    for name in sorted({*names} & {*sys.modules}, reverse=True):
        package, _, attribute = name.rpartition(".")
        monkeypatch.delattr(sys.modules[package], attribute)
        monkeypatch.delitem(sys.modules, name)
