"""Where a hidden value can be read without asking: the instruction, the rules, the text of tools: all that an agent
reads before its first call.

In the instruction any mention is a leak. Elsewhere a text may well list all the values there are (an enum, a
rule about days): it gives a fact away when it has the right value and none of the others. Seeded rows are no
leak: what tools show is the planner's business (`underspecify.gives_away`). Numbers and words of one or two
letters are looked for in the instruction only, since tool text counts and abbreviates for its own reasons.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from mocktrial.envs.task import Fact, Task
from mocktrial.envs.users.base import says
from mocktrial.mocktools.spec import WorldSpec
from mocktrial.mocktools.values import fold

_SHORTEST = 3  # letters of a value that is looked for in static text


Texts = Sequence[tuple[str, str]]


def static_texts(spec: WorldSpec) -> Texts:
    """(place, folded text) of all that an agent may read before its first call, but for the instruction."""
    return [(place, fold(text)) for place, text in _places(spec) if text]


def leaks(task: Task, texts: Texts) -> list[str]:
    """One sentence for each hidden fact and place that tells it; `texts` are those of the task's world."""
    found = []
    instruction = fold(task.instruction)
    for fact in task.hidden():
        if any(says(instruction, form) for form in (str(fact.value), fact.spoken)):
            found.append(f"the instruction tells {fact.id}, which is hidden")
        elif isinstance(fact.value, str) and len(fact.value) >= _SHORTEST and not fact.value.isdigit():
            value = fold(fact.value)
            found += [
                f"{place} tells {fact.id}, which is hidden"
                for place, text in texts
                if value in text and _tells(text, fact)
            ]
    return found


def _tells(text: str, fact: Fact) -> bool:
    others = (other for other in fact.alternatives if isinstance(other, str))
    return says(text, str(fact.value)) and not any(says(text, other) for other in others)


def _places(spec: WorldSpec) -> Iterator[tuple[str, str]]:
    yield "the world's rules", spec.rules
    for toolkit in spec.toolkits:
        for tool in toolkit.tools:
            yield f"tool {tool.name}", f"{tool.name} {tool.description} {json.dumps(tool.parameters)}"
