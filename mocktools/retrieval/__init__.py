"""Finding the few tools that a request needs among hundreds: lexical, dense or fused, then a look at the situation.

    with World.open(image, 0) as world:
        retriever = Retriever(documents_of(world), "fused")
        found = retriever.search(Context(query="wake me at seven", failing=failing(world)), k=10)

A tool is a `Document`: name and parameters, what it says it does, ways in which people ask for it, what its
arguments may be called now. Lexical is BM25 over these fields and over the ideas that words stand for, dense the
cosines of a sentence model, fused both. Needs the extra `retrieval`; dense and fused also the extra `dense` and
the model's wheel. Same documents and query, same answer, whatever the documents' order.
"""

from __future__ import annotations

from importlib.util import find_spec

from mocktrial.mocktools.errors import MissingExtra

if any(find_spec(name) is None for name in ("bm25s", "numpy")):
    raise MissingExtra("retrieval needs bm25s and numpy", hint="pip install 'mocktrial[retrieval]'")

from mocktrial.mocktools.retrieval.documents import (
    Context,
    Document,
    Found,
    document,
    document_of,
    documents_of,
    failing,
)
from mocktrial.mocktools.retrieval.retriever import Method, Retriever

__all__ = [
    "Context",
    "Document",
    "Found",
    "Method",
    "Retriever",
    "document",
    "document_of",
    "documents_of",
    "failing",
]
