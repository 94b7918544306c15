"""What a message does: which of its clauses ask, ask for a yes, or ask for everything.

Speech acts only: no fact is known here, and how a message is cut up is said in `clauses`. Clauses that do not look
like asking are kept too ("Shall we wrap it?" may ask for a fact); `weights` says what they count. `parse` is a pure
function of the message and remembers short ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from mocktrial.envs.users.reading.clauses import Sentence, clauses, opened, sentences
from mocktrial.envs.users.reading.lexicon import grammar, pattern
from mocktrial.envs.users.reading.unmarked import (
    announced,
    goes_with_question,
    in_haste,
    inverted,
    listed_plainly,
    names_things,
    tagged,
)
from mocktrial.envs.users.reading.words import words

# What a clause is by its form. "named": a sentence without a verb; "offer": it asks for a yes; "stated": anything else.
Mode = Literal["wh", "request", "yesno", "choice", "fragment", "named", "offer", "stated"]
Act = Literal["propose", "check", "everything"]
_FAR = 40  # letters into a statement from which a request in it is none
_SAYING = 0.3  # weight of a word that says what is wanted


@dataclass(frozen=True, slots=True)
class Clause:
    """A clause that may ask. `context` is the rest of its sentence and the one before, which asks for nothing."""

    text: str
    mode: Mode
    context: str = ""

    @property
    def asks(self) -> bool:
        """Whether it asks by its form. Others may ask all the same; what they say decides."""
        return self.mode not in ("named", "offer", "stated")


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a message does."""

    clauses: tuple[Clause, ...] = ()
    asks: bool = False
    proposes: bool = False
    checks: bool = False  # all that it asks a yes for is whether something is so
    everything: bool = False


@lru_cache(maxsize=2048)
def parse(message: str) -> Parsed:
    found: list[Clause] = []
    acts: set[Act] = set()
    before = ""
    for sentence in sentences(message):
        for act in _read(sentence):
            if isinstance(act, Clause):
                found.append(replace(act, context=f"{act.context} {before}".strip()))
            else:
                acts.add(act)
        before = sentence.text
    proposes, checks, everything = "propose" in acts, "check" in acts, "everything" in acts
    asks = bool(acts) or any(clause.asks for clause in found)
    return Parsed(tuple(found), asks, proposes or checks, checks and not proposes, everything)


def _read(sentence: Sentence) -> Iterator[Clause | Act]:
    """The acts of a sentence, in order."""
    text = sentence.text
    body = text.rstrip("?!. ")
    question = text.endswith("?") or (text == body and in_haste(body, sentence.alone))
    if sentence.wanted and not question:
        _, colon, value = body.partition(":")
        if not (colon and value.strip()):
            yield Clause(body, "request")
        return
    if listed := announced(body):
        yield Clause(listed, "request", body.partition(":")[0])
        return
    if question and tagged(body):
        yield Clause(body, "offer")
        yield "propose" if pattern("acting").search(body) else "check"
        return
    parts = clauses(body)
    acts = list(_of_parts(parts, question, body))
    if not question and names_things(body) and not any(act for act in acts if not isinstance(act, Clause) or act.asks):
        acts = [Clause(body, "named")]
    yield from acts


def _of_parts(parts: list[str], question: bool, body: str) -> Iterator[Clause | Act]:
    asked = False
    for number, part in enumerate(parts):
        others = " ".join(parts[:number] + parts[number + 1 :])
        acts = list(_act(part.strip(" ,:"), question and number == len(parts) - 1, question, asked))
        if not acts and number == 0 and goes_with_question(parts) and (question or grammar("ends_please").search(body)):
            acts = [Clause(part.strip(" ,:"), "fragment")]
        if not any(isinstance(act, Clause) or act == "everything" for act in acts):
            acts.append(Clause(part.strip(" ,:"), "offer" if acts else "stated"))
        for act in acts:
            if isinstance(act, Clause):
                asked = asked or act.asks
                yield replace(act, context=f"{act.context} {others}")
            else:
                yield act


def _act(part: str, ends: bool, question: bool, asked: bool) -> Iterator[Clause | Act]:
    """The act of one clause. `ends`: the question mark is its own; `asked`: an earlier clause of the sentence asked."""
    if grammar("condition").match(part) and (match := pattern("asks").match(part)):
        yield Clause(part.partition(",")[0][match.end() :], "request")
        return
    text, context = opened(part)
    proposal = pattern("proposes").match(text)
    if not proposal and (match := grammar("purpose").search(text)) and match.start() > 3 and _aside(text, match):
        context, text = f"{context} {match[0]}", text[: match.start()]
    if not text:
        return
    needless, request = pattern("needless").search(text), pattern("asks").search(text)
    if _everything(text) and (ends or request) and not needless and not proposal:
        if not grammar("offers_help").search(text):
            yield "everything"
    elif needless and not (request and request.start() <= needless.start()) and not grammar("wh_start").match(text):
        return
    elif proposal and not (request and request.start() == 0 and not grammar("verifies").match(text)):
        yield from _proposal(text, proposal, context, ends or question)
    elif (ends or question) and pattern("social").match(text):
        return
    elif request and _requests(text, request):
        yield from _request(text, request, context)
    elif grammar("wh_start").match(text):
        if ends or question or inverted(text):
            yield Clause(text, "wh", context)
    elif _asks_yes_or_no(text, ends, question):
        yield Clause(text, "choice" if _offers_choice(text, "open_choice") else "yesno", context)
    else:
        yield from _other(text, context, ends, asked and question)


def _proposal(text: str, proposal: re.Match[str], context: str, question: bool) -> Iterator[Clause | Act]:
    if _offers_choice(text, "stand_in"):
        yield Clause(text, "choice", context)
    if question or (proposal.start() == 0 and proposal[0].startswith(("please", "confirm"))):
        yield "propose"


def _aside(text: str, purpose: re.Match[str]) -> bool:
    """Whether what is asked for stands before the purpose, not in it."""
    return pattern("asks").search(text[: purpose.start()]) is not None or not pattern("asks").search(purpose[0])


def _requests(text: str, request: re.Match[str]) -> bool:
    """Whether what looks like a request is one, where it does not begin the clause."""
    if request.start() == 0:
        return True
    if grammar("wh_start").match(text) or grammar("aux_start").match(text):
        return False
    return not grammar("declared").match(text) or request.start() < _FAR


def _request(text: str, request: re.Match[str], context: str) -> Iterator[Clause]:
    if grammar("negated").search(text[: request.start()]):
        return
    after = text[request.end() :]
    if any(word.weight >= _SAYING for word in words(after)) or grammar("asks_word").search(after):
        yield Clause(text[request.start() :], "request", f"{context} {text[: request.start()]}")
    else:
        yield Clause(f"{context} {text}".strip(), "request")


def _asks_yes_or_no(text: str, ends: bool, question: bool) -> bool:
    if (ends and grammar("aux_any").match(text)) or (question and grammar("aux_noun").match(text)):
        return True
    return bool(grammar("aux_start").match(text) and (question or grammar("about_you").match(text)))


def _offers_choice(text: str, unless: str) -> bool:
    return " or " in text and not grammar(unless).search(text)


def _other(text: str, context: str, ends: bool, goes_on: bool) -> Iterator[Clause | Act]:
    """The act of a clause that begins like no question. `goes_on`: a question before it in the sentence may go on."""
    if ends:
        yield from _asked_plainly(text, context)
    elif grammar("ends_please").search(text):
        yield Clause(grammar("ends_please").sub("", text), "request", context)
    elif listed_plainly(text):
        wanted = grammar("any_please").sub(" ", text)
        yield Clause(grammar("joined").sub(" and ", wanted).strip(), "request", context)
    elif goes_on and not grammar("declared").match(text):
        yield Clause(text, "fragment", context)


def _everything(text: str) -> bool:
    found = pattern("everything").search(text)
    return found is not None and (not grammar("wh_start").match(text) or found.start() == 0)


def _asked_plainly(text: str, context: str) -> Iterator[Clause | Act]:
    """A sentence with a question mark that begins like a statement or is no sentence."""
    situ = grammar("asks_word").search(text)
    if grammar("figure").search(text) and len(text.split()) >= 3 and " or " not in text and not situ:
        yield "propose" if pattern("acting").search(text) else "check"
    elif situ and (not text.startswith("which", situ.start()) or grammar("left_open").search(text)):
        yield Clause(text, "wh", context)
    elif grammar("left_open").search(text) and len(text.split()) <= 9:
        yield Clause(text, "request", context)
    elif grammar("yours").match(text) and not pattern("proposes").search(text):
        yield Clause(text, "choice" if " or " in text else "yesno", context)
    elif grammar("declared").match(text) or pattern("proposes").search(text):
        yield "propose"
    else:
        yield Clause(text, "choice" if " or " in text else "fragment", context)
