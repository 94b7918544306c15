"""`Choice`: the tasks that a step of RL by play plays, in a fresh order every epoch or as a curriculum draws them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from mocktrial.envs.seeds import derive
from mocktrial.envs.task import Task
from mocktrial.mocktools.errors import UsageError
from mocktrial.synth.curriculum import Band, Curriculum, State
from mocktrial.training.config import OnlineConfig


class Choice:
    """Derives from `seed`, the step, and what was told. state: of the curriculum; None where there is none.

    known: the state to go on from. Raises `UsageError` where there are fewer tasks than a step plays.
    """

    def __init__(self, tasks: Sequence[Task], options: OnlineConfig, seed: int, known: State | None = None) -> None:
        if len(tasks) < options.tasks_per_step:
            raise UsageError(
                f"a step is to play {options.tasks_per_step} tasks, and the split has {len(tasks)}",
                hint="lower rollouts.tasks_per_step, or make more tasks",
            )
        self._tasks, self._options, self._seed = tasks, options, seed
        self._curriculum: Curriculum | None = None
        self.state: State | None = None
        if options.curriculum:
            self._curriculum = Curriculum(tasks, Band(**options.curriculum.model_dump()), seed=seed)
            self.state = known or self._curriculum.start()

    def tasks(self, step: int) -> list[Task]:
        """Those that the step learns from, then its spares: no task twice."""
        shuffled = self._shuffled(step)
        if self._curriculum is None or self.state is None:
            return shuffled
        drawn, self.state = self._curriculum.batch(self.state, len(shuffled))
        own = {task.content_hash(): task for task in (*drawn, *shuffled)}  # a small cell may be drawn too often
        return list(own.values())[: len(shuffled)]

    def tell(self, outcomes: Iterable[tuple[str, bool]]) -> None:
        """What came of a step: task hash and success of every graded episode."""
        if self._curriculum and self.state:
            self.state = self._curriculum.observe(self.state, outcomes)

    def _shuffled(self, step: int) -> list[Task]:
        """The tasks are a fresh permutation every epoch, the spares any others."""
        tasks, wanted = self._tasks, self._options.tasks_per_step
        epoch, place = divmod(step, len(tasks) // wanted)
        order = random.Random(derive(self._seed, "tasks", epoch)).sample(tasks, len(tasks))
        chosen = order[place * wanted : (place + 1) * wanted]
        others = order[: place * wanted] + order[(place + 1) * wanted :]
        spare = min(self._options.spare, len(others))
        return chosen + random.Random(derive(self._seed, "spares", step)).sample(others, spare)
