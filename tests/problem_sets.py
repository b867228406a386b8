"""Problems of the default configuration's datasets, whatever the other settings."""

from collections.abc import Iterator
from pathlib import Path

from fofg import config
from fofg.stages import CreateProblems
from fofg.tasks.strings import balanced_sampler, pools, published_sampler
from fofg.tasks.strings.problem import Problem

DEFAULT = config.load(config.read([Path(__file__).parents[1] / "config/default.yaml"]))
DATASETS = DEFAULT.datasets


def spec(dataset: str, split: str, rows: int, settings: config.Problems, first: int = 0) -> CreateProblems:
    """Problems ``first`` ... ``first + rows - 1`` of a split, however many the configuration makes."""
    chosen = DATASETS[dataset]
    return CreateProblems(
        version=1, dataset=dataset, stage=chosen.stage, levels=chosen.levels, split=split, first=first, rows=rows, problems=settings
    )


def problems(dataset: str, split: str, rows: int, settings: config.Problems) -> Iterator[Problem]:
    shares, functions = DATASETS[dataset].shares(rows), pool(dataset, split, settings.sampler)
    if settings.sampler == "paper":
        return published_sampler.sample(shares, functions, settings)
    return balanced_sampler.sample(shares, functions, dataset, split, settings)


def pool(dataset: str, split: str, sampler: str = "balanced") -> tuple[str, ...]:
    return pools.pool(DATASETS[dataset].stage, split, sampler)
