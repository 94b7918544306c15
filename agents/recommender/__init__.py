"""Query recommendation on a device world: what a person may want to ask next, grounded in what works now.

`base` has the types, `grounding` turns a tool into a suggestion that the world takes, `overlap` compares texts,
`retrieval` is the offline floor, `written` lets a model write suggestions, `specs` reads what a command line names.
"""

from __future__ import annotations

from mocktrial.agents.recommender.base import (
    Recommendation,
    Recommender,
    Retriever,
    Situation,
    Suggestion,
    situation_of,
)

__all__ = ["Recommendation", "Recommender", "Retriever", "Situation", "Suggestion", "situation_of"]
