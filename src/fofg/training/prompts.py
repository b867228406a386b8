"""Load the problems that reinforcement learning trains on and validates with; drop prompts that are too long."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fofg.config import GRPOConfig, Phase, Scoring, Validation
from fofg.data.files import cure
from fofg.data.reading import check_problems, problem_rows
from fofg.errors import UserError
from fofg.rollouts.decoding import token_ids
from fofg.rollouts.shards import check, fitting
from fofg.tasks.rewards import compute_scores


@dataclass(frozen=True)
class Prompt:
    """A problem's row (fofg.data.schemas.PROBLEMS), and the tokens of its prompt."""

    row: dict
    tokens: list[int]

    @property
    def index(self) -> int:
        return self.row["extra_info"]["index"]

    @property
    def level(self) -> int:
        return self.row["extra_info"]["level"]


def source_names(phases: Sequence[Phase]) -> list[str]:
    """Return the names in the phases' mixtures, sorted."""
    return sorted({name for phase in phases for name in phase.mixture})


def files(phases: Sequence[Phase], data: Mapping[str, str | Path]) -> dict[str, Path]:
    """Return the file of each source in the mixtures. Raises UserError for a missing, damaged or unused one."""
    names = source_names(phases)
    for name in names:
        if name not in data:
            raise UserError(f"--data: no file for {name}, which a mixture of stage2.rl.curricula names; add {name}=PARQUET")
    for name in data:
        if name not in names:
            raise UserError(f"--data: no mixture names {name}; they name {', '.join(names)}")
    for name in names:
        check_problems(data[name])
    return {name: Path(data[name]) for name in names}


def load(
    files: Mapping[str, Path], config: GRPOConfig, scoring: Scoring, tokenizer, positions: int | None
) -> dict[str, list[Prompt]]:
    """Load each source's prompts within the token limits. ``positions``: the longest sequence that the model holds."""
    return {name: within_limits(path, read(path, scoring), config, tokenizer, positions) for name, path in files.items()}


def load_validation(
    rows: Sequence[dict], validation: Validation | None, config: GRPOConfig, tokenizer, positions: int | None
) -> list[Prompt]:
    """Return the validation prompts within the token limits; none if validation is off."""
    if not (rows and validation and validation.every):
        return []
    return within_limits("stage2.rl.validation", rows, config, tokenizer, positions)


def read(path: Path, scoring: Scoring) -> list[dict]:
    """Read all problems of a file. Raises UserError if there are none, or one can't be used."""
    rows = list(problem_rows(path))
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


def within_limits(source: str | Path, rows: Sequence[dict], config: GRPOConfig, tokenizer, positions: int | None) -> list[Prompt]:
    """Return the prompts within the token limits. Raises UserError if there are none, or if long ones are an error."""
    tokens = token_ids(tokenizer, [row["prompt"] for row in rows])
    fitting_rows = fitting([len(prompt) for prompt in tokens], rows, config.rollouts, positions)
    if not fitting_rows:
        raise UserError(
            f"{source}: no prompt fits; raise stage2.rl.rollouts.max_prompt_tokens ({config.rollouts.max_prompt_tokens})"
        )
    if len(fitting_rows) < len(rows):
        print(f"{source}: {len(rows) - len(fitting_rows)} of {len(rows)} prompts don't fit and are skipped", file=sys.stderr)
    return [Prompt(rows[number], tokens[number]) for number in fitting_rows]
