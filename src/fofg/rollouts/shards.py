"""Rollouts for one shard of problems: reproducible, resumable, independent of other shards."""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from fofg import models
from fofg.config import Hints, Rollouts
from fofg.data import datasets
from fofg.data.files import count_rows, cure, write_parquet
from fofg.data.reading import problem_rows, usable
from fofg.data.schemas import ROLLOUTS, ROLLOUTS_METADATA, Message
from fofg.errors import UserError
from fofg.rollouts.engine import Engine, Request, Sample, create
from fofg.rollouts.resume import State, fingerprint
from fofg.rollouts.sampling import sample_seed
from fofg.runtime.locks import exclusive
from fofg.runtime.signals import Stop, stoppable
from fofg.specs import ProblemsSpec, RolloutsSpec
from fofg.tasks.task import read

#: Seconds between writes of finished problems, for engines that don't work in batches.
FLUSH_SECONDS = 5.0


@dataclass(frozen=True)
class Summary:
    """Counts of a run: problems and samples of the shard, skipped problems, samples resumed from an earlier run, new tokens.

    ``seconds``: of generation, without the start.
    """

    problems: int
    samples: int
    skipped: int
    resumed: int
    tokens: int
    seconds: float


def cut(lengths: dict[int, int], samples: int, batch_size: int) -> list[list[int]]:
    """Cut problems (keys of ``lengths``, their prompt tokens) into batches of at most ``batch_size`` sequences.

    Longest first, which saves padding and shows a lack of memory at once. A problem's samples stay in one batch, however many.
    """
    order = sorted(lengths, key=lambda problem: (-lengths[problem], problem))
    size = max(1, batch_size // samples)
    return [order[start : start + size] for start in range(0, len(order), size)]


def read_shard(path: str | os.PathLike | None, spec: RolloutsSpec) -> list[dict]:
    """Read the shard's rows (schemas.PROBLEMS). Raises UserError if there are fewer than the spec says, or one is unusable."""
    if path is None:
        raise UserError("--problems: the spec does not say how to sample problems; give a file")
    total = count_rows(path)
    stop = total if spec.rows is None else spec.first + spec.rows
    if stop > total or spec.first >= stop:
        numbers = f"{spec.first} to {stop - 1}"
        raise UserError(f"{path}: has {total} problems, not the rows {numbers} of this shard; {cure(path)}, or correct the counts")
    rows = list(islice(problem_rows(path), spec.first, stop))
    check(rows, path, spec.first)
    return rows


def sample_shard(path: str | os.PathLike | None, spec: ProblemsSpec) -> list[dict]:
    """Sample the shard's rows (schemas.PROBLEMS). Raises UserError if a file is given too, and as ``datasets.problems``."""
    if path is not None:
        raise UserError(f"--problems: the spec says how to sample the problems; drop {path}, or remove problems from the spec")
    return [row for batch in datasets.batches(spec) for row in batch.to_pylist()]


def check(rows: list[dict], path: str | os.PathLike, first: int = 0) -> None:
    """Raise UserError unless every row has a unique index and a prompt. ``first``: number of the first row in the file."""
    indexes = set()
    for number, row in enumerate(rows, first):
        index = row["extra_info"]["index"]
        if index in indexes:
            correction = "every problem needs its own; fofg import numbers them"
            raise UserError(f"{path}: row {number} has the extra_info.index of another ({index}); {correction}")
        indexes.add(index)
        if not usable(row["prompt"]):
            raise UserError(f"{path}: problem {index}: prompt is empty or lacks a role or content; fix or remove the row")


def build_prompts(rows: list[dict], definitions: Hints | None, template: str | None) -> list[list[Message]]:
    """Return each row's prompt as it is (``definitions`` null), or rebuilt with these hints (Task.prompt)."""
    if definitions is None:
        return [row["prompt"] for row in rows]
    if template is None:
        raise UserError("template: needed to rebuild prompts (definitions is not null)")
    return [_rebuilt(row, definitions, template, f"problem {row['extra_info']['index']}") for row in rows]


def _rebuilt(row: dict, definitions: Hints, template: str, where: str) -> list[Message]:
    task, problem = read(row, where)
    try:
        return task.prompt(problem, template, hints=definitions)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def fitting(lengths: list[int], rows: Sequence[dict], settings: Rollouts, positions: int | None) -> dict[int, int]:
    """Return row number -> prompt tokens of the rows within the token limits.

    ``positions``: the longest sequence that the model holds. Raises UserError for a longer row, unless long_prompts is "skip".
    """
    fits = {}
    for number, (length, row) in enumerate(zip(lengths, rows)):
        if length > settings.max_prompt_tokens:
            problem = f"more than rollouts.max_prompt_tokens ({settings.max_prompt_tokens}); raise it"
        elif positions is not None and length + settings.max_response_tokens > positions:
            room = f"with rollouts.max_response_tokens ({settings.max_response_tokens}) more than the model's {positions} positions"
            problem = f"{room}; lower it"
        else:
            fits[number] = length
            continue
        if settings.long_prompts == "error":
            index = row["extra_info"]["index"]
            raise UserError(f"problem {index}: the prompt has {length} tokens, {problem}, or set rollouts.long_prompts: skip")
    return fits


def generate(
    spec: RolloutsSpec,
    problems: str | os.PathLike | None,
    model: str | os.PathLike,
    output: str | os.PathLike,
    state: str | os.PathLike,
    batch_size: int,
    options: Mapping | None = None,
) -> Summary:
    """Generate the rollouts of a shard, write them (schemas.ROLLOUTS), and remove the working state.

    Finished batches are stored under ``state``. A killed run resumes with the others, cut in the same way, so the file equals that
    of an uninterrupted run. A continuous engine has one batch, whose finished problems are stored every few seconds; after a kill
    the others may differ from an uninterrupted run, as far as the engine's responses depend on what runs beside them.
    ``options``: engine options in addition to those of the spec. Raises UserError for unusable problems or models, for prompts that
    are too long, and on a stop request: after the batch, or for a continuous engine after its next sample.
    """
    rows = read_shard(problems, spec) if spec.problems is None else sample_shard(problems, spec.problems)
    prompts = build_prompts(rows, spec.definitions, spec.template)
    engine = create(spec.engine, model, spec.rollouts, spec.dtype, batch_size, {**(spec.options or {}), **(options or {})})
    lengths = fitting(engine.prompt_lengths(prompts), rows, spec.rollouts, engine.positions)
    digest = models.digest(Path(model))
    with exclusive(state), stoppable() as stop:
        checkpoint = State(state, fingerprint(spec, engine.identity, digest, rows))
        max_sequences = len(lengths) * spec.rollouts.samples if _is_continuous(engine) else batch_size
        batches = cut(lengths, spec.rollouts.samples, max_sequences)
        began = time.monotonic()
        answers, resumed, tokens = _answers(spec, rows, prompts, engine, batches, checkpoint, stop)
        seconds = time.monotonic() - began
        metadata = {ROLLOUTS_METADATA: json.dumps({"spec": json.loads(spec.text()), "model": digest})}
        empty: dict[str, list] = {"responses": [], "finish_reasons": [], "token_counts": []}
        finished = [row | answers.get(number, empty) for number, row in enumerate(rows)]
        write_parquet(output, ROLLOUTS.with_metadata(metadata), (finished[i : i + 1000] for i in range(0, len(finished), 1000)))
        checkpoint.remove()
    return Summary(len(rows), len(lengths) * spec.rollouts.samples, len(rows) - len(lengths), resumed, tokens, seconds)


def _answers(
    spec: RolloutsSpec, rows: list[dict], prompts: list, engine: Engine, batches: list[list[int]], state: State, stop: Stop
):
    """Return row number -> responses, finish_reasons, token_counts; the samples found in ``state``; the new tokens."""
    answers = {row.pop("problem"): row for row in state.load()}
    samples, resumed = spec.rollouts.samples, len(answers) * spec.rollouts.samples
    with _Progress(sum(map(len, batches)) * samples, resumed) as progress:
        for batch in batches:
            problems = [number for number in batch if number not in answers]
            if not problems:
                continue
            # A seed depends on the problem and the sample alone: not on the shard, the batch or an earlier kill.
            seeds = [
                tuple(sample_seed(spec.rollouts.seed, rows[number]["extra_info"]["index"], sample) for sample in range(samples))
                for number in problems
            ]
            requests = [Request(prompts[number], seed) for number, seed in zip(problems, seeds)]
            for finished in _finished(engine, requests, progress, stop):
                new = {problems[position]: _columns(results) for position, results in finished.items()}
                if new:
                    state.save([{"problem": number, **columns} for number, columns in new.items()])
                answers |= new
                if stop.is_set() and len(answers) < (total := sum(map(len, batches))):
                    done = f"{len(answers) * samples} of {total * samples} samples"
                    raise UserError(f"stopped {stop.reason} with {done}; run the same command to resume")
    return answers, resumed, progress.tokens


def _finished(engine: Engine, requests: list[Request], progress: "_Progress", stop: Stop) -> Iterator[dict[int, list[Sample]]]:
    """Yield finished requests (position -> samples): every few seconds for a continuous engine, else once at the end.

    When ``stop`` is set, a continuous engine's come at once. Raises UserError if the engine leaves out samples.
    """
    continuous = _is_continuous(engine)
    samples: list[dict[int, Sample]] = [{} for _ in requests]
    finished, flushed = {}, time.monotonic()
    try:
        for position, sample, result in engine.generate(requests):
            samples[position][sample] = result
            progress.add(result.token_count)
            if len(samples[position]) == len(requests[position].seeds):
                finished[position] = [result for _, result in sorted(samples[position].items())]
            if continuous and (stop.is_set() or (finished and time.monotonic() - flushed >= FLUSH_SECONDS)):
                yield finished
                finished, flushed = {}, time.monotonic()
    except Exception:  # SLURM's SIGTERM also ends the engine's own processes, so the engine may fail before it sees ``stop``
        if not (continuous and stop.is_set()):
            raise
        yield finished
        return
    if missing := sum(len(request.seeds) - len(done) for request, done in zip(requests, samples)):
        raise UserError(f"rollout_engine.name: the engine left out {missing} samples of {len(requests)} prompts; fix it")
    if finished:
        yield finished


def _is_continuous(engine: Engine) -> bool:
    return getattr(engine, "continuous", False)  # a custom engine may not have it


def _columns(results: list[Sample]) -> dict:
    return {
        "responses": [result.text for result in results],
        "finish_reasons": [result.finish_reason for result in results],
        "token_counts": [result.token_count for result in results],
    }


class _Progress:
    """Progress bar on standard error: samples done, time left, tokens per second."""

    def __init__(self, total: int, done: int):
        self.bar = tqdm(total=total, initial=done, unit=" samples", desc="rollouts", dynamic_ncols=True)
        self.tokens, self.start = 0, time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bar.close()

    def add(self, tokens: int) -> None:
        self.tokens += tokens
        rate = self.tokens / max(time.monotonic() - self.start, 1e-9)
        self.bar.set_postfix_str(f"{rate:,.0f} tokens/s", refresh=False)
        self.bar.update()
