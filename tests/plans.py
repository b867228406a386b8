"""Plans for the tests of ``fofg plan``."""

from pathlib import Path

from fofg.config import Config, load, merge, read
from fofg.plan.estimate import Cost, Estimate, estimate
from fofg.plan.jobs import Jobs, by_rules
from fofg.plan.work import Rollouts, Training

ROOT = Path(__file__).parents[1]
DEFAULT, PAPER = ROOT / "config/default.yaml", ROOT / "config/paper.yaml"


def configured(*files: Path, **changes) -> Config:
    """The default configuration with overlays and changed keys; the embedded model is found from any folder."""
    values = read([DEFAULT])
    values["base_model"] = str(ROOT / values["base_model"])
    for overlay in (read(files), changes):
        merge(values, overlay)
    return load(values)


def plan(*names: str, files: tuple[Path, ...] = (), **changes) -> Estimate:
    """Of some targets (none: all), with changed keys."""
    return estimate(configured(*files, **changes), names or ["all"])


def of_paper(*names: str, **changes) -> Estimate:
    return plan(*names, files=(PAPER,), **changes)


def rows(table: list[tuple[Rollouts | Training, Cost]]) -> dict[str, Rollouts | Training]:
    """Stage -> what it does."""
    return {row.stage: row for row, _ in table}


def costs(table: list[tuple[Rollouts | Training, Cost]]) -> dict[str, Cost]:
    """Stage -> what it takes."""
    return {row.stage: cost for row, cost in table}


def jobs(*names: str, files: tuple[Path, ...] = (), **changes) -> dict[str, Jobs]:
    """Rule -> its jobs, of some targets (none: all), with changed keys."""
    settings = configured(*files, **changes)
    return {row.rule: row for row in by_rules(settings, estimate(settings, names or ["all"]))}
