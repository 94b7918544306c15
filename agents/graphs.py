"""The door to LangGraph: the only place that imports it. Raises `MissingExtra` where it is not installed.

Its checkpoint loader imports and runs any callable that a checkpoint names unless told otherwise before
its first import (FAULTS 21). Our graphs keep no checkpoints; a program that adds a checkpointer is safe.
"""

from __future__ import annotations

import os

from mocktrial.mocktools.errors import MissingExtra

os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")

try:
    from langgraph.graph import END, START, StateGraph
    from langgraph.graph.state import CompiledStateGraph
    from langgraph.runtime import Runtime
except ModuleNotFoundError as error:
    raise MissingExtra("langgraph is not installed", hint="pip install 'mocktrial[agents]'") from error

__all__ = ["END", "START", "CompiledStateGraph", "Runtime", "StateGraph"]
