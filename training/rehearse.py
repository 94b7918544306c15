"""`mocktrial train --dry-run`: the data that a config names, read and rendered, and what training on it would cost."""

from __future__ import annotations

from pathlib import Path

from mocktrial.agents.local.render import Renderer
from mocktrial.agents.local.weights import load_tokenizer
from mocktrial.envs.dataset import load_dataset
from mocktrial.envs.episode import SyncEpisode
from mocktrial.envs.task import Task
from mocktrial.mocktools.image import WorldImage
from mocktrial.training.config import TrainConfig
from mocktrial.training.estimate import Cost, cost_of, longest_play
from mocktrial.training.online import options_of
from mocktrial.training.play import images_of, split_of
from mocktrial.training.records import read_records
from mocktrial.training.rollouts.choice import Choice
from mocktrial.training.run import examples_of


def rehearse(config: TrainConfig) -> Cost:
    """The cost of a run; of one that plays, an upper bound for its first step (no spares). Raises as training does."""
    tokenizer = load_tokenizer(config.model)
    renderer = Renderer(tokenizer)
    if config.rollouts is None:
        records = read_records(Path(config.data), config.objective)
        return cost_of(config, examples_of(records, renderer), tokenizer.name_or_path)
    options = options_of(config)
    dataset = load_dataset(Path(options.dataset))
    tasks = Choice(split_of(dataset, options.split), options, config.seed).tasks(0)[: options.tasks_per_step]
    images = images_of(dataset, tasks)
    played = longest_play(config, [_first_prompt(renderer, task, images[task.world]) for task in tasks])
    whole = config.model_copy(update={"batch_size": -(-len(played) // options.updates)})
    return cost_of(whole, played, tokenizer.name_or_path)


def _first_prompt(renderer: Renderer, task: Task, image: WorldImage) -> int:
    """Tokens that the policy reads before its first word."""
    episode = SyncEpisode(task, image)
    seen = episode.reset()
    episode.close()
    return len(renderer.render(seen.messages, seen.tools).ids)
