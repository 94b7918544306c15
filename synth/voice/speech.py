"""How a persona says a planned instruction: `realise(text, persona, protected, forbidden, chance) -> str`.

The request itself stays what it was. Around it come a greeting, a sentence that leads in, an aside, a closing;
a command may become "Could you ...?"; then the persona's typing habits. All words stand in `speech.toml`.
Every value survives as it was spoken and no hidden one appears: what fails that test is drawn again, and after
a few draws the planned text itself is returned.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from mocktrial.envs.task import Persona
from mocktrial.envs.users.base import says
from mocktrial.mocktools.values import fold
from mocktrial.synth.voice.keyboard import typed
from mocktrial.synth.voice.masks import mask, unmask

_HERE = Path(__file__).parent
_DRAWS = 4
_SLOT = re.compile(r"\{(\w+)\}")
_SENTENCE = re.compile(r"(?<=[.?!])\s+")
_ABBREVIATION = re.compile(r"(?:^|\s)(?:dr|mr|mrs|ms|st|no|approx|e\.g|i\.e|etc|a\.m|p\.m)\.$", re.IGNORECASE)
# Before one of these a command has no verb of its own left: "Order 12 must go back" is none.
_CLAUSE = re.compile(
    r"\b(?:that|which|who|whose|whom|where|when|whether|if|how|what|why|because|since|until|while|as)\b"
)
_FINITE = re.compile(
    r"\b(?:must|should|shall|will|would|may|might|can|cannot|could|is|are|was|were|has|have|had|does|did|needs|wants"
    r"|comes|came|goes|went|arrived|looks|seems|isn't|aren't|wasn't|hasn't|can't|won't|doesn't|didn't|shouldn't)\b"
)
_POLITE = re.compile(
    r"^(?:please |kindly |(?:can|could|would|will) you |(?:i|we) (?:need|want|would like) you to "
    r"|(?:i|we)'d like you to |go ahead and )+",
    re.IGNORECASE,
)
_POLITE_END = re.compile(r",?\s*please(?=[.!?]?$)", re.IGNORECASE)
_OBJECT_PLEASE = re.compile(r"^(?!Both|All|Only|Just|Not|Half)[A-Z][a-z-]+ (?:the|an?|each|every|all)\b.*, please[.!]$")
_THEN = re.compile(r"^(?:then|also|and|next|after that,|afterwards,?|finally,?)\s+(?=[a-z])", re.IGNORECASE)


def voice(persona: Persona, text: str, chance: random.Random) -> str:
    """`realise` for a text with no facts to watch over."""
    return realise(text, persona, (), (), chance)


def realise(
    text: str, persona: Persona, protected: Sequence[str], forbidden: Sequence[str], chance: random.Random
) -> str:
    """`text`, a complete instruction in plain sentences, in the persona's words.

    protected: spoken values of public facts, which survive as they stand in `text`. forbidden: values of hidden
    facts, spoken and plain, none of which may come in. Falls back on `text` itself.
    """
    try:
        masked, spans = mask(text.strip(), protected)
    except ValueError:
        return text
    held = [value for value in protected if value in text]
    for _ in range(_DRAWS):
        composed = _spelled(_composed(masked, persona, chance), persona)
        said = unmask(typed(composed, persona.typing, chance, _data()), spans)
        folded = fold(said)
        if all(value in said for value in held) and not any(
            fold(value) in folded and says(folded, value) for value in forbidden
        ):
            return said
    return text


def _composed(text: str, persona: Persona, chance: random.Random) -> str:
    """Greeting, lead, request, aside and closing, as the manner has them."""
    manner, shape = persona.manner, _data()["shapes"][persona.manner]

    def has(part: str) -> bool:
        share: float = shape[part]
        return chance.random() < (share / 2 if persona.typing == "brief" and part != "frame" else share)

    parts = [_pick(_data()["phrases"]["lead"][manner], chance)] if has("lead") else []
    request = _framed(text, manner, chance) if has("frame") else text
    if has("contract"):
        request = _replaced(request, "contractions")
    parts.append(request)
    if has("aside"):
        aside, after = _aside(persona, chance)
        parts.insert(len(parts) if after else chance.randint(0, len(parts)), aside)
    if has("closer"):
        parts.append(_pick(_data()["phrases"]["closer"][manner], chance))
    said = ("\n\n" if "\n" in text else " ").join(parts)
    return _greeted(said, _pick(_data()["phrases"]["greeting"][manner], chance), chance) if has("greeting") else said


def _aside(persona: Persona, chance: random.Random) -> tuple[str, bool]:
    """Something that is no part of the request, and whether it points back at it."""
    asides = _data()["phrases"]["aside"]
    personal = asides["personal"] if persona.privacy == 0 else []
    if not persona.occupation:
        personal = [aside for aside in personal if "{a_occupation}" not in aside]
    chosen = chance.choice([*asides["any"], *asides["after"], *personal])
    said = _pick([chosen], chance, {"a_occupation": with_article(persona.occupation)})
    return said, chosen in asides["after"]


def _greeted(said: str, greeting: str, chance: random.Random) -> str:
    """ "Hi, could you ...": with a comma only where what follows may lose its capital."""
    lowered = _lower_first(said)
    if lowered != said or re.match(r"I\b", said):
        return f"{greeting}, {lowered}"
    return f"{greeting}{chance.choice('.!')} {said}"


def _framed(text: str, manner: str, chance: random.Random) -> str:
    """The first command or question in words of its own; a reason before it may be joined to it."""
    if "\n" in text:
        return text
    frames, sentences = _data()["frames"], sentences_of(text)
    kinds = [_kind(sentence) for sentence in sentences]
    if kinds == ["other", "command"] and sentences[0].endswith(".") and chance.random() < 0.6:
        slots = {"S": sentences[0][:-1], "x": _command(sentences[1])}
        return _pick(frames["joined"][manner], chance, slots)
    for place, kind in enumerate(kinds):
        if kind == "other" or (kind == "question" and place):  # "Which is it?" hangs on what was said before
            continue
        x = _command(sentences[place]) if kind == "command" else _lower_first(sentences[place][:-1])
        choices = frames[kind][manner]
        if kind == "question" and x == sentences[place][:-1]:  # it keeps its capital
            choices = [frame for frame in choices if "{X}" in frame]
        if kind == "command" and re.search(r"[;:]", x):  # too long-winded for a question
            choices = [frame for frame in choices if frame.endswith("{x}.") and ":" not in frame]
        sentences[place] = _pick(choices, chance, {"x": x, "X": x[:1].upper() + x[1:]})
        break
    for place in range(1, len(sentences)):
        then = _THEN.match(sentences[place])
        rest = sentences[place][then.end() :] if then else ""
        if then and _kind(rest) == "command" and not _POLITE.match(rest) and chance.random() < 0.5:
            sentences[place] = f"{then[0]}please {rest}"
    return " ".join(sentences)


def _command(sentence: str) -> str:
    """ "Please book it." as it stands behind "could you": "book it"."""
    bare = _POLITE_END.sub("", _POLITE.sub("", sentence)).rstrip(".!?")
    return bare[:1].lower() + bare[1:]


def _kind(sentence: str) -> str:
    """command (starts with a verb, politely or not), question, or, in doubt, other: such a sentence stays as it is."""
    bare = _POLITE.sub("", sentence)
    first = re.match(r"[A-Za-z-]+(?=[\s.!?])", bare)
    polite = bare != sentence and first is not None and first[0].islower() and first[0] not in ("mind", "be")
    if not (polite or (first and (first[0].lower() in verbs() or _OBJECT_PLEASE.match(sentence)))):
        return "question" if sentence.endswith("?") else "other"
    if not sentence.endswith((".", "!")) and not polite:
        return "question" if sentence.endswith("?") else "other"
    own = bare[first.end() :] if first else bare
    clause = _CLAUSE.search(own)
    return "other" if _FINITE.search(own[: clause.start()] if clause else own) else "command"


def sentences_of(text: str) -> list[str]:
    """The sentences of a text as it stands; "Dr. Roy" does not end one."""
    parts: list[str] = []
    for part in _SENTENCE.split(text):
        if parts and _ABBREVIATION.search(parts[-1]):
            parts[-1] += f" {part}"
        else:
            parts.append(part)
    return parts


def _lower_first(text: str) -> str:
    """Without its first capital, where the first word is one that has no capital of its own."""
    first = re.match(r"[A-Za-z']+", text)
    if not first or (first[0].startswith("I") and first[0][1:2] in ("", "'")):
        return text
    return text[0].lower() + text[1:] if no_name(first[0].lower()) or _ours(text) else text


def no_name(word: str) -> bool:
    """Whether a casefolded word has a capital only where a sentence starts, as far as our lists know."""
    return word in _data()["words"]["lowerable"] or word in verbs()


def _ours(text: str) -> bool:
    """Whether the first words are from `speech.toml`, where no sentence starts with a name."""
    return " ".join(text.split()[:2]) in _starts()


def _spelled(text: str, persona: Persona) -> str:
    return _replaced(text, "american") if persona.locale in ("en", "en-US") else text


def _replaced(text: str, table: str) -> str:
    words, pattern = _table(table)
    return pattern.sub(lambda match: words[match[0]], text)


@lru_cache
def _table(table: str) -> tuple[Mapping[str, str], re.Pattern[str]]:
    words: Mapping[str, str] = _data()[table]
    return words, re.compile(r"\b(?:" + "|".join(map(re.escape, words)) + r")\b")


def _pick(choices: Sequence[str], chance: random.Random, slots: Mapping[str, str] | None = None) -> str:
    """One of the choices with its parts chosen; `slots` fill what is no part."""
    given = slots or {}

    def part(match: re.Match[str]) -> str:
        name = match[1]
        return given[name] if name in given else _pick(_data()["parts"][name], chance, given)

    return _SLOT.sub(part, chance.choice(choices))


def with_article(noun: str) -> str:
    """ "a nurse", "an usher", "a union official", "an X-ray technician"."""
    exception = re.match(r"(?:hour|honest|honou?r|heir|X-ray|MRI|HR|LED)", noun)
    vowel = re.match(r"[aeiouAEIOU]", noun) and not re.match(r"(?:uni(?!n|m)|use|usu|eu|one|once|ut[ie])", noun.lower())
    return f"an {noun}" if exception or vowel else f"a {noun}"


@lru_cache
def _data() -> Mapping[str, Any]:
    return tomllib.loads((_HERE / "speech.toml").read_text(encoding="utf-8"))


@lru_cache
def verbs() -> frozenset[str]:
    """First words of commands, casefolded."""
    lines = (_HERE / "verbs.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


@lru_cache
def _starts() -> frozenset[str]:
    """First two words of every lead and aside."""
    phrases = _data()["phrases"]
    lists = [*phrases["lead"].values(), *phrases["aside"].values()]
    return frozenset(" ".join(phrase.split()[:2]) for phrases in lists for phrase in phrases if "{" not in phrase[:20])
