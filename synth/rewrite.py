"""`Rewriter`: a model rewords instructions, and only what still says the same is taken.

A reworded instruction is accepted when every public fact that was spoken still is (the test of the user's own
guard), no hidden fact, no other value of a fact, and no new number or name has come in, the length is within
limits and it still asks for something. Else the model is told why, once; then the planned words stay, and the
reason is counted. Answers are kept in a token ledger by the hash of their request: a resumed run pays for none
twice. A dead endpoint costs its task nothing but the rewording; many failures in a row are a `UsageError`.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2

from mocktrial.envs.chat import ChatModel, Message, assistant
from mocktrial.envs.seeds import derive
from mocktrial.envs.task import Persona, Task
from mocktrial.envs.users.base import says
from mocktrial.mocktools.errors import NoResult, UsageError
from mocktrial.mocktools.values import fold, stable
from mocktrial.synth.teacher.ledger import Entry, TokenLedger
from mocktrial.synth.voice.speech import no_name, verbs, with_article

_DATA = Path(__file__).parent / "voice"
NO_ANSWER = "no answer"
_ATTEMPTS = 2
_DEAD = 20  # failures in a row after which the endpoint counts as dead
_LONGEST, _SHORTEST = 4.0, 0.4  # of the reworded text, times the characters of the planned one
_ROOM = 160  # characters that any instruction may have
_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")
_WORD = re.compile(r"[^\W\d_][\w'’-]*")
_SENTENCE_START = re.compile(r"(?:^|[.?!:;]\s+|\n\s*|[\"“(]\s*|^(?:hi|hello|hey|dear)\s+)$", re.IGNORECASE)


class Rewriter:
    """Rewords the instructions of tasks. `counts`: "reworded", and each reason for which the planned words stood."""

    def __init__(self, model: ChatModel, ledger: TokenLedger, *, concurrency: int = 8) -> None:
        self.counts: Counter[str] = Counter()
        self.failure: NoResult | None = None  # the last
        self._model, self._ledger = model, ledger
        self._slots = asyncio.Semaphore(concurrency)
        self._failed = 0  # in a row

    async def rewrite_all(self, tasks: Iterable[Task]) -> list[Task]:
        """The tasks in their order, reworded where that went well. Raises `UsageError` for a dead endpoint."""
        return list(await asyncio.gather(*(self.rewrite(task) for task in tasks)))

    async def rewrite(self, task: Task) -> Task:
        """The task with its instruction reworded, or as it is. Its id stays: the caller names it."""
        async with self._slots:
            try:
                text, reason = await self._reworded(task)
            except NoResult as error:
                self.failure = error
                self._failed += 1
                if self._failed >= _DEAD:
                    hint = "see to the endpoint and run the same command again: what was paid for is kept"
                    raise UsageError(f"{_DEAD} requests in a row failed: {error}", hint=hint) from error
                text, reason = task.instruction, NO_ANSWER
            else:
                self._failed = 0
        self.counts[reason or "reworded"] += 1
        return task if reason else task.model_copy(update={"instruction": text})

    async def _reworded(self, task: Task) -> tuple[str, str]:
        """The accepted text and nothing, or the planned text and why."""
        messages = [_message("system"), _message("user", **_slots_of(task))]
        reason = ""
        for attempt in range(_ATTEMPTS):
            answer = await self._answer(task, messages, attempt)
            text = answer.strip().strip('"“”').strip()
            reason = objection(task, text)
            if not reason:
                return text, ""
            messages = [*messages, assistant(answer), _message("again", reason=reason)]
        return task.instruction, reason

    async def _answer(self, task: Task, messages: Sequence[Message], attempt: int) -> str:
        seed = derive(task.seed, "rewrite")
        asked = stable({"model": self._model.name, "seed": seed, "messages": list(messages)})
        key = hashlib.sha256(asked.encode()).hexdigest()
        known = self._ledger.find(key)
        if known is not None:
            return known.content
        completion = await self._model.start((), seed=seed).send(messages)
        content = str(completion.message.get("content") or "")
        usage = completion.usage
        entry = Entry(
            key=key, unit=0, step="rewrite", attempt=attempt, model=self._model.name, content=content,
            prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens,
        )  # fmt: skip
        self._ledger.add(entry)
        return content


def objection(task: Task, text: str) -> str:
    """Why `text` may not stand for the task's instruction; empty when it may. Gives no hidden value away."""
    told, planned = fold(text), fold(task.instruction)
    if not text or not _SHORTEST * len(planned) <= len(text) <= max(_ROOM, _LONGEST * len(planned)):
        return "it is too short or too long"
    if any(sign in told for sign in _data()["chatter"]):
        return "it speaks about the request"
    for fact in task.facts:
        if not fact.hidden and says(planned, fact.spoken) and not says(told, fact.spoken):
            return "a value of the request is missing"
    for fact in task.facts:
        forms = [str(value) for value in (fact.value, *fact.alternatives)] + [fact.spoken]
        if any(says(told, form) and not says(planned, form) for form in forms):
            return "it tells something that the request does not tell"
    if set(_NUMBER.findall(told)) - set(_NUMBER.findall(planned)) or _new(_data()["numbers"], told, planned):
        return "it has a number, a day or a time that the request does not have"
    if _new_names(text, planned):
        return "it has a name that the request does not have"
    if not _asks(text):
        return "it asks for nothing"
    return ""


def _new(words: Sequence[str], told: str, planned: str) -> bool:
    return any(says(told, word) and not says(planned, word) for word in words)


def _new_names(text: str, planned: str) -> bool:
    """Whether a word has a capital that is neither the request's own nor due to its place."""
    for match in _WORD.finditer(text):
        word = match[0]
        if word[0].islower() or says(planned, word) or re.fullmatch(r"I(?:['’]\w+)?", word):
            continue
        starts = _SENTENCE_START.search(text[: match.start()]) is not None
        plain = word.casefold().replace("’", "'")
        if not starts or word[1:] != word[1:].lower() or not (no_name(plain) or plain in _data()["starters"]):
            return True
    return False


def _asks(text: str) -> bool:
    folded = fold(text)
    if "?" in text or any(says(folded, sign) for sign in _data()["asks"]):
        return True
    firsts = (re.match(r"\W*(?:hi|hello|hey)?\W*(\w+)", sentence) for sentence in re.split(r"[.!;:,]\s+", folded))
    return any(first is not None and first[1] in verbs() for first in firsts)


def _slots_of(task: Task) -> dict[str, Any]:
    planned = fold(task.instruction)
    kept = [fact.spoken for fact in task.facts if not fact.hidden and says(planned, fact.spoken)]
    who = with_article(task.persona.occupation) if task.persona.occupation else "somebody"
    return {"instruction": task.instruction, "keep": kept, "who": who, "manner": _manner(task.persona)}


def _manner(persona: Persona) -> str:
    return {"terse": ", in few words", "chatty": ", in a friendly and talkative way"}.get(persona.manner, "")


def _message(part: str, **slots: Any) -> Message:
    role = "system" if part == "system" else "user"
    return {"role": role, "content": _page().render(part=part, **slots)}


@lru_cache
def _page() -> jinja2.Template:
    # Plain text for a model: nothing is escaped, and values are never templates.
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=False)
    return environment.from_string((_DATA / "rewrite.j2").read_text(encoding="utf-8"))


@lru_cache
def _data() -> Mapping[str, Any]:
    return tomllib.loads((_DATA / "rewrite.toml").read_text(encoding="utf-8"))
