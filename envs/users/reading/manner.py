"""Features of the form of a clause: asked openly, by yes or no, as a choice, or not by its form at all.

Numbers for `match`, nothing is weighed here.
"""

from __future__ import annotations

import re

from mocktrial.envs.users.reading.labels import option
from mocktrial.envs.users.reading.lexicon import grammar, pattern
from mocktrial.envs.users.reading.profile import Profile
from mocktrial.envs.users.reading.segments import Segment


def by_mode(segment: Segment, fact: Profile, said: float, unexplained: float, share: float) -> dict[str, float]:
    """What the form of the question says, alone and beside other evidence."""
    mode, closed = segment.clause.mode, "yesno" in fact.kinds
    asks_whether = float(mode == "yesno")
    value_said = bool(fact.value) and re.search(rf"(?<!\w){re.escape(fact.value)}(?!\w)", segment.text) is not None
    return {
        "request": float(mode == "request"),
        "fragment": float(mode == "fragment"),
        "named": float(mode == "named"),
        "yesno": asks_whether,
        "yesno_closed": asks_whether * (not closed and grammar("exists").match(segment.text) is None),
        "yesno_unexplained": asks_whether * min(unexplained, 2.0),
        "yesno_fits": asks_whether * closed,
        "yesno_covered": asks_whether * share,
        "yesno_else": asks_whether * (not closed) * said,
        "choice": float(mode == "choice"),
        "choice_value": float(mode == "choice" and (value_said or option(segment, fact))),
        "value_said": float(mode in ("yesno", "fragment") and value_said and not closed),
        **_unasked(segment, closed, value_said, share),
    }


def _unasked(segment: Segment, closed: bool, value_said: bool, share: float) -> dict[str, float]:
    """What a clause that does not look like a question may ask for all the same."""
    clause = segment.clause
    offer, stated = float(clause.mode == "offer"), float(clause.mode == "stated")
    return {
        "offer": offer,
        "offer_fits": offer * closed,
        "offer_covered": offer * share,
        "stated": stated,
        "stated_covered": stated * share,
        "stated_value": (offer + stated) * value_said,
        "stated_fits": stated * closed,
        "stated_wants": stated * (grammar("wants_list").search(clause.text) is not None),
        "stated_word": stated * (grammar("asks_word").search(clause.text) is not None),
        "stated_declared": stated * (grammar("declared").match(clause.text) is not None),
        "stated_verb": stated * (grammar("verb").search(clause.text) is not None),
        "stated_needless": stated * (pattern("needless").search(clause.text) is not None),
        "stated_figure": stated * (grammar("figure").search(clause.text) is not None),
    }
