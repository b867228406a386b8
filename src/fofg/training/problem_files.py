"""Load the problems that reinforcement learning trains on and validates with, and drop prompts that don't fit."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from fofg.config import Grpo, Scoring, Validation
from fofg.data.files import cure, read_rows
from fofg.data.schemas import PROBLEMS
from fofg.errors import UserError
from fofg.rollouts.decoding import token_ids
from fofg.rollouts.shards import check, fitting
from fofg.stages import TrainRl
from fofg.tasks.rewards import compute_scores
from fofg.training.grpo_rollouts import Problem


def files(spec: TrainRl, data: Mapping[str, str | Path]) -> list[Path]:
    """The files of the sources in the mixtures, in order of their names.

    Raises UserError unless there is a file for each source, and none besides.
    """
    wanted = names(spec)
    for name in wanted:
        if name not in data:
            raise UserError(f"--data: no file for {name}, which a mixture of stage2.rl.curricula names; add {name}=PARQUET")
    for name in data:
        if name not in wanted:
            raise UserError(f"--data: no mixture names {name}; they name {', '.join(wanted)}")
    return [Path(data[name]) for name in wanted]


def names(spec: TrainRl) -> list[str]:
    """The sources in the mixtures, sorted."""
    return sorted({name for phase in spec.phases for name in phase.mixture})


def load(spec: TrainRl, paths: list[Path], tokenizer, positions: int | None) -> dict[str, list[Problem]]:
    """Name in the mixtures -> its problems that fit; ``paths``: as ``files`` gives them."""
    return {
        name: those_that_fit(path, read(path, spec.scoring), tokenizer, positions, spec.rl)
        for name, path in zip(names(spec), paths)
    }


def load_validation(
    spec: TrainRl, rows: Sequence[dict], settings: Validation | None, tokenizer, positions: int | None
) -> list[Problem]:
    """Return the validation problems that fit; none without validation. Raises UserError as ``those_that_fit``."""
    if not (rows and settings and settings.every):
        return []
    return those_that_fit("stage2.rl.validation", rows, tokenizer, positions, spec.rl)


def read(path: Path, scoring: Scoring) -> list[dict]:
    """All problems of a file. Raises UserError if there are none, or one is unusable."""
    rows = list(read_rows(path, PROBLEMS))
    if not rows:
        raise UserError(f"{path}: no problems; {cure(path)}, or take it out of the mixtures of stage2.rl.curricula")
    check(rows, path)
    for row in rows:
        if row["extra_info"]["level"] is None:
            raise UserError(f"{path}: problem {row['extra_info']['index']}: no extra_info.level; {cure(path)}")
    try:
        compute_scores(((row, "", False) for row in rows), scoring)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return rows


def those_that_fit(source: str | Path, rows: Sequence[dict], tokenizer, positions: int | None, settings: Grpo) -> list[Problem]:
    """Return the rows whose prompt fits, with their tokens. ``source``: named in messages; ``positions``: the model's.

    Raises UserError if none fits, or unless long prompts are to be skipped.
    """
    prompts = token_ids(tokenizer, [row["prompt"] for row in rows])
    kept = fitting([len(prompt) for prompt in prompts], rows, settings.rollouts, positions)
    if not kept:
        raise UserError(
            f"{source}: no prompt fits; raise stage2.rl.rollouts.max_prompt_tokens ({settings.rollouts.max_prompt_tokens})"
        )
    if len(kept) < len(rows):
        print(f"{source}: {len(rows) - len(kept)} of {len(rows)} prompts don't fit and are skipped", file=sys.stderr)
    return [Problem(rows[number], prompts[number]) for number in kept]
