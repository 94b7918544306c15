"""What a message does: its clauses, and which of them ask, ask for a yes, or ask for everything.

Speech acts only: no fact is known here. `parse` is a pure function of the message and remembers short ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from mocktrial.envs.users.reading.lexicon import pattern
from mocktrial.envs.users.reading.words import plain, words

Mode = Literal["wh", "request", "yesno", "choice", "fragment"]
Act = Literal["propose", "check", "everything"]

_ABBREVIATION = re.compile(
    r"\b(dr|mr|mrs|ms|prof|st|no|nr|e\.g|i\.e|etc|approx|a\.m|p\.m|vs|incl|max|min)\.(?=\s)", re.I
)
_SENTENCE = re.compile(r"(?<=[?!])\s+|(?<=\.)\s+|\n+|;\s+")
_ITEM = re.compile(r"^\s*(?:[-*•–·]|\(?\d{1,2}[.)]|\(?[a-h][.)])\s+")
_INLINE_ITEM = re.compile(r"(?:(?<=\s)|^)\(?(?:\d|[a-h])\)\s*|(?:(?<=:\s)|(?<=,\s)|(?<=;\s))\d\.\s")
_WH = r"(?:what|which|when|where|whereabouts|who|whom|whose|why|how)"
_AUX = (
    r"(?:do|does|did|is|are|was|were|am|can|could|will|would|should|shall|may|might|must|have|has|had)"
    r"(?: not)?"
)
_PIED = (
    r"(?:(?:at|by|for|from|in|into|on|onto|to|under|with|of|about|until|till|since"
    r"|up to|against|over|around|through|towards?|during|before|after|per|via|as) )"
)
_WH_START = re.compile(rf"{_PIED}?{_WH}\b")
_SUBJECT = (
    r"(?:you|your|i|we|he|she|it|they|there|this|that|these|those|the|a|an|any|anyone|anybody|anything|"
    r"someone|somebody|everyone|everything|his|her|their|my|our|all|both|some|one|either)"
)
_AUX_START = re.compile(rf"{_AUX} {_SUBJECT}\b")
_AUX_ANY = re.compile(rf"{_AUX} \w+")
_BREAK = re.compile(
    rf"\s*(?:[,:—–]|\s-\s|\.\.\.|…)\s*(?:(?:and|but|so|or|then|also|plus"
    rf"|because)\s+)*(?=(?:{_PIED}?{_WH}|{_AUX} {_SUBJECT}|please (?=\w))\b)"
    rf"|\s+(?:and|but|or|so|then)\s+(?:also\s+|then\s+)?(?=(?:{_PIED}?{_WH}"
    rf"|{_AUX} (?:you|i|we|it|he|she|they|there)|please (?=\w))\b)"
    rf"|\s*[—–]\s*|\s-\s|\s*(?:\.\.\.|…)\s*"
    rf"|,\s*but\s+"
)
_SUBORDINATE = re.compile(
    r"(?:before|once|after|as soon as|when|whenever|if|since|as"
    r"|because|while|although|though|so that|so i can|so we can|"
    r"to(?! (?:which|what|whom|where))|in order to|for (?:me"
    r"|us) to|for (?:the|your|this|that|our)|regarding|concerning|"
    r"given|due to|depending on|assuming|unless)\b(?! (?:which|what|whom|who|where|when|how)\b)[^,?]*,\s*(?=\S)"
)
_PLACED = re.compile(rf"(?:about|with|on|in|at|from|as for)\b[^,?]*,\s*(?={_PIED}?{_WH}\b|{_AUX} )")
_PURPOSE = re.compile(
    r"(?:,\s*|\s+)(?:so that|so (?:i|we|the|it|that)\b|because|in order to"
    r"|before (?:i|we)\b|if (?:possible|you do not mind|you like|"
    r"you have|that is|it is|i may|we may|any|so|needed|you know|you remember|something)|when you (?:get|have) a|"
    r"to (?:help|make sure|proceed|complete|finali[sz]e|continue"
    r"|get (?:you|this|started)|be able|find the|process|check the|avoid)|"
    r"for (?:my|our) (?:records|notes|file)|just in case|in case).*$"
)
_DECLARED = re.compile(
    r"(?:so |and |ok |then |but )*(?:you(?! (?:live|work|are|were|want|need|would like"
    r"|said) (?:where|when|what|who|how|which))|i|we|it|that|this|he|she|they|there)"
    r" (?:is|are|was|were|have|has|had|will|would|can|could|should|want|need|like|said|mentioned|do"
    r"|did|prefer|live|work|be|also|just|only|only|still|really|already|not|also|never|\w+(?:ed|s))\b"
)
_LEFT_OPEN = re.compile(
    r"\b(?:is|are|was|be|will be|would be|were|called|at|to|for|from|by|on|in|of|with|about)\s*(?:\.\.\.|…|:)?\s*\?*$"
)
_SITU = re.compile(rf"\b{_WH}\b")
_NOMINAL = re.compile(r"(?:\b(?:please|pls|plz)\b[.!]*|\?)$")
_REQUESTED = re.compile(
    rf"\b(?:know|tell|ask|say|sure|certain|wonder(?:ing)?|confirm|specify|decided?"
    rf"|remember|idea|about|me|us|is|need) (?:exactly |just )?(?={_PIED}?{_WH}\b)"
)
_BLANK = re.compile(r"\W*(?P<label>[^:]{2,60}?)\s*(?:\([^)]*\))?\s*:\s*(?:_{2,}|\?+|\.{3,}|…)\s*")
_HEADED = re.compile(r"(?P<label>[^:.?!,]{2,30}):\s*")
_HASTE = re.compile(
    r"(?:you (?:want|like|prefer|need|got|still|already|coming|going)"
    r"|any(?:thing|one|body|where)?\b|(?:is it )?ok(?:ay)? if)\b"
)
_TOGETHER = re.compile(r"\w\.? (?:\+|&) \w")
_YOURS = re.compile(
    r"you (?:also |already |still |just |only )*"
    r"(?:want|would like|like|prefer|need|have|got|can|are|play|take|pay|come|live)"
    r"\b(?!(?: for)? (?:me|us|that i|that we|if i) ?)"
)
_VERB = re.compile(r"\b(?:is|are|was|were|will|would|can|could|have|has|had|do|does|did|may|should|shall|must)\b")
_FIGURE = re.compile(r"\d|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b|\btomorrow\b")
_LEADS_ON = re.compile(r":|\b(?:then|i will|we will|please)\b")
_RELATIVE = re.compile(rf"{_PIED}(?:which|whom)\b")
_CONDITION = re.compile(r"(?:once|as soon as|when|after|until|if) (?:i|we|you)\b")


@dataclass(frozen=True, slots=True)
class Clause:
    """A clause that asks. `context` is the rest of its sentence and the one before, which asks for nothing."""

    text: str
    mode: Mode
    context: str = ""


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
    clauses: list[Clause] = []
    proposes = checks = everything = False
    before = ""
    for sentence, listed in _sentences(message):
        found = list(_read(sentence, listed))
        for act in found:
            if act == "propose":
                proposes = True
            elif act == "check":
                checks = True
            elif act == "everything":
                everything = True
            elif isinstance(act, Clause):
                clauses.append(replace(act, context=f"{act.context} {before}".strip()))
        before = sentence
    yes = proposes or checks
    return Parsed(tuple(clauses), bool(clauses) or yes or everything, yes, checks and not proposes, everything)


def _sentences(message: str) -> Iterator[tuple[str, bool]]:
    """Sentences in plain form, each with whether it is an item of a list that was asked for."""
    message = _ABBREVIATION.sub(r"\1", message)
    heading = False  # the line before a list asks for its items
    for line in message.splitlines():
        item = _ITEM.match(line)
        body = line[item.end() :] if item else line
        if blank := _BLANK.fullmatch(body) or _HEADED.fullmatch(message):
            yield plain(blank["label"]), True
            continue
        parts = _INLINE_ITEM.split(body)
        if len(parts) > 2:
            head = plain(parts[0])
            yield head, False
            for part in parts[1:]:
                yield plain(part).strip(" ,;"), _asks_for_list(head)
            continue
        for sentence in _SENTENCE.split(body):
            text = plain(sentence)
            if text:
                yield text, bool(item) and heading
        if not item and body.strip():
            last = plain(_SENTENCE.split(body.strip())[-1])
            heading = _asks_for_list(last)


def _asks_for_list(head: str) -> bool:
    return (
        head.endswith((":", "?", "."))
        and bool(
            pattern("asks").search(head)
            or re.search(
                r"\b(?:need|please|following|missing|questions?|reply|required|require|provide|know|answer|fill)\b",
                head,
            )
            or head.endswith("?")
        )
        and not pattern("needless").search(head)
    )


def _read(sentence: str, listed: bool) -> Iterator[Clause | Act]:
    """The acts of a sentence, in order."""
    body = sentence.rstrip("?!. ")
    question = sentence.endswith("?") or (sentence == body and _in_haste(body))
    if listed and not question:
        _, colon, value = body.partition(":")
        if not (colon and value.strip()):
            yield Clause(body, "request")
        return
    if (
        question
        and re.search(pattern("tags").pattern + r"$", body)
        and re.search(r"\w+\W+\w+\W+\w+", body)
        and not _asking(body)
    ):
        yield "propose" if pattern("acting").search(body) else "check"
        return
    parts = [part for part in _BREAK.split(body) if part and part.strip()]
    asked = False
    listing = (
        len(parts) > 1
        and _WH_START.match(parts[-1].strip())
        and not (_DECLARED.match(parts[0]) or _VERB.search(parts[0]))
    )
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        others = " ".join(parts[:number] + parts[number + 1 :])
        acts = list(_act(part.strip(" ,:"), question and last, question, asked))
        if not acts and number == 0 and listing and (question or body.endswith("please")):
            acts = [Clause(part.strip(" ,:"), "fragment")]
        for act in acts:
            if isinstance(act, Clause):
                asked = True
                yield replace(act, context=f"{act.context} {others}")
            else:
                yield act


def _in_haste(body: str) -> bool:
    """Whether a sentence without any mark is a question all the same: "when you coming in", "you want the wood"."""
    text = _open(body)[0]
    if len(text.split()) > 14 or "," in text or _LEADS_ON.search(text):
        return False
    return bool(_WH_START.match(text) and not re.match(r"what an? ", text)) or bool(_HASTE.match(text))


def _asking(body: str) -> bool:
    """Whether a question with a tag asks for something before the tag."""
    opened = _open(body)[0]
    return bool(_WH_START.match(opened)) or bool(pattern("asks").match(opened))


def _open(text: str) -> tuple[str, str]:
    """The clause without openers and what stands before its main part; and what was left out that means something."""
    context = ""
    opener = re.compile(r"(?:" + pattern("openers").pattern + r")(?:\s*[,.!:—–-]+\s*|\s+)")
    for _ in range(6):
        if match := opener.match(text):
            if match.end() >= len(text):
                break
            text = text[match.end() :]
            continue
        break
    if pattern("asks").match(text) and not _CONDITION.match(text):
        return text, context
    match = _SUBORDINATE.match(text) or _PLACED.match(text)
    if match and not _WH_START.match(text[: match.end()].partition(" ")[2]):
        rest = text[match.end() :]
        if len(rest.split()) >= 2 or _WH_START.match(rest):
            return _open(rest)[0], match[0]
    return text, context


def _act(part: str, ends: bool, question: bool, asked: bool) -> Iterator[Clause | Act]:
    """The act of one clause. `ends`: the question mark is its own; `asked`: an earlier clause of the sentence asked."""
    if _CONDITION.match(part) and (match := pattern("asks").match(part)):
        condition = part.partition(",")[0]
        yield Clause(condition[match.end() :], "request")
        return
    text, context = _open(part)
    proposal = pattern("proposes").match(text)
    if not proposal and (match := _PURPOSE.search(text)) and match.start() > 3:
        context, text = f"{context} {match[0]}", text[: match.start()]
    if not text:
        return
    needless = pattern("needless").search(text)
    request = pattern("asks").search(text)
    if _everything(text) and (ends or request) and not needless and not proposal:
        if not re.search(r"\b(?:i|we) (?:can|could|may) (?:help|do|assist)", text):
            yield "everything"
        return
    if needless and not (request and request.start() < needless.start()) and not _WH_START.match(text):
        return
    if (match := proposal) and not (request and request.start() == 0 and not _proposal(text)):
        if " or " in text and not re.search(
            r"\bor (?:not|would|do|should|shall|is|are|something|anything|maybe|so)\b", text
        ):
            yield Clause(text, "choice", context)
        if ends or question or (match.start() == 0 and match[0].startswith(("please", "confirm"))):
            yield "propose"
        return
    if (ends or question) and pattern("social").match(text):
        return
    asking = _WH_START.match(text) or _AUX_START.match(text)
    if (
        request
        and (request.start() == 0 or not asking)
        and (request.start() == 0 or not _DECLARED.match(text) or request.start() < 40)
    ):
        if _refused(text, request):
            return
        if any(word.weight >= 0.3 for word in words(text[request.end() :])) or _SITU.search(text[request.end() :]):
            yield Clause(text[request.start() :], "request", f"{context} {text[: request.start()]}")
        else:
            yield Clause(f"{context} {text}".strip(), "request")
        return
    if _WH_START.match(text):
        if ends or question or _inverted(text):
            yield Clause(text, "wh", context)
        return
    if (ends and _AUX_ANY.match(text)) or (
        _AUX_START.match(text)
        and (
            question
            or re.match(r"(?:do|does|did|are|have|will|would|is) (?:you|there|your|anyone|anybody|any)\b", text)
        )
    ):
        if " or " in text and not re.search(r"\bor (?:not|anything|something|so|else|any|is|are|do|would)\b", text):
            yield Clause(text, "choice", context)
        else:
            yield Clause(text, "yesno", context)
        return
    yield from _other(text, context, ends, asked and question)


def _other(text: str, context: str, ends: bool, goes_on: bool) -> Iterator[Clause | Act]:
    """The act of a clause that begins like no question. `goes_on`: a question before it in the sentence may go on."""
    if ends:
        yield from _asked_plainly(text, context)
    elif re.search(r"\b(?:please|pls|plz)$", text):
        yield Clause(re.sub(r",? ?(?:please|pls|plz)$", "", text), "request", context)
    elif _listed_plainly(text):
        wanted = re.sub(r",? ?\b(?:please|pls|plz)\b[,:]?", " ", text)
        yield Clause(re.sub(r"\.? [+&] ", " and ", wanted).strip(), "request", context)
    elif goes_on and not _DECLARED.match(text):
        yield Clause(text, "fragment", context)


def _listed_plainly(text: str) -> bool:
    """Whether a short text without a verb names what is wanted: "name + age of child", "tax id please, all of it"."""
    if len(text.split()) > 12 or _DECLARED.match(text) or _VERB.search(text):
        return False
    return bool(_TOGETHER.search(text) or re.search(r"\b(?:please|pls|plz)\b", text))


def _everything(text: str) -> bool:
    found = pattern("everything").search(text)
    return found is not None and (not _WH_START.match(text) or found.start() == 0)


def _proposal(text: str) -> bool:
    return bool(
        re.match(
            r"(?:please|(?:can|could|would|will) you)\b.*\b(?:confirm|verify"
            r"|check) (?:that|if|whether|everything|all|this|it|these|those|my|the above)\b",
            text,
        )
    )


def _refused(text: str, request: re.Match[str]) -> bool:
    return bool(re.search(r"\b(?:no need|do not|not|never)\b", text[: request.start()]))


def _inverted(text: str) -> bool:
    """Whether a clause that begins with a question word is a question without its mark, as typed in haste."""
    if _RELATIVE.match(text):
        return False
    asks = re.match(rf"{_PIED}?(?:what(?! a\b)|which(?! is\b)|how|{_WH} {_AUX})\b", text)
    return asks is not None or len(text.split()) <= 3


def _asked_plainly(text: str, context: str) -> Iterator[Clause | Act]:
    """A sentence with a question mark that begins like a statement or is no sentence."""
    if _FIGURE.search(text) and len(text.split()) >= 3 and " or " not in text and not _SITU.search(text):
        yield "propose" if pattern("acting").search(text) else "check"
        return
    situ = _SITU.search(text)
    if situ and (not text.startswith("which", situ.start()) or _LEFT_OPEN.search(text)):
        yield Clause(text, "wh", context)
        return
    if _LEFT_OPEN.search(text) and len(text.split()) <= 9:
        yield Clause(text, "request", context)
    elif _YOURS.match(text) and not pattern("proposes").search(text):
        yield Clause(text, "choice" if " or " in text else "yesno", context)
    elif _DECLARED.match(text) or pattern("proposes").search(text):
        yield "propose"
    elif " or " in text:
        yield Clause(text, "choice", context)
    else:
        yield Clause(text, "fragment", context)
