"""Problems of the default configuration's datasets, whatever the other settings."""

from collections.abc import Iterator
from pathlib import Path

from fofg import config
from fofg.specs import ProblemsSpec
from fofg.tasks.strings import balanced_sampler, pools, published_sampler
from fofg.tasks.strings.problem import Sampled
from fofg.tasks.task import Split

DEFAULT = config.load(config.read([Path(__file__).parents[1] / "config/default.yaml"]))
DATASETS = DEFAULT.datasets


def spec(dataset: str, split: str, rows: int, settings: config.Problems, first: int = 0) -> ProblemsSpec:
    """Problems ``first`` ... ``first + rows - 1`` of a split, however many the configuration makes."""
    chosen = DATASETS[dataset]
    return ProblemsSpec(
        dataset=dataset, stage=chosen.stage, levels=chosen.levels, split=split, first=first, rows=rows, problems=settings
    )


def problems(dataset: str, split: str, rows: int, settings: config.Problems) -> Iterator[Sampled]:
    chosen = DATASETS[dataset]
    shares, functions = chosen.shares(rows), pool(dataset, split, settings)
    if settings.sampler == "paper":
        return published_sampler.sample(shares, functions, settings)
    return balanced_sampler.sample(Split(dataset, chosen.stage, split, shares), functions, settings)


def pool(dataset: str, split: str, settings: config.Problems = DEFAULT.problems) -> tuple[str, ...]:
    return pools.pool(settings, DATASETS[dataset].stage, split)
