"""Rollouts for one shard of problems: reproducible, resumable, independent of other shards."""

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from fofg import models
from fofg.config import Rollouts
from fofg.data import datasets
from fofg.data.files import cure, open_parquet, read_rows, write_parquet
from fofg.data.schemas import PROBLEMS, ROLLOUTS, Message
from fofg.errors import UserError
from fofg.rollouts.engine import Engine, Request, Sample, create
from fofg.rollouts.resume import State, fingerprint
from fofg.rollouts.sampling import sample_seed
from fofg.runtime.locks import exclusive
from fofg.runtime.signals import Stop, stoppable
from fofg.specs import ProblemsSpec, RolloutsSpec
from fofg.tasks.task import read

#: Key of a shard file's Parquet metadata: JSON with ``spec`` and ``model`` (a digest).
METADATA = b"fofg.rollouts"
#: Seconds between writes of finished problems where they don't finish in batches; one that ends in between waits for the next.
FLUSH_SECONDS = 5.0


@dataclass(frozen=True)
class Summary:
    """What a run did: problems and samples of the shard, problems skipped, samples taken from an earlier run, tokens made now."""

    problems: int
    samples: int
    skipped: int
    resumed: int
    tokens: int


def cut(lengths: dict[int, int], samples: int, batch_size: int) -> list[list[int]]:
    """Problems (keys of ``lengths``: prompt tokens) in batches of at most ``batch_size`` sequences, but at least one problem.

    Longest first, so that little is padded and a lack of memory shows at once; all samples of a problem are in one batch.
    """
    order = sorted(lengths, key=lambda problem: (-lengths[problem], problem))
    size = max(1, batch_size // samples)
    return [order[start : start + size] for start in range(0, len(order), size)]


def read_shard(path: str | os.PathLike | None, spec: RolloutsSpec) -> list[dict]:
    """The shard's rows (schemas.PROBLEMS). Raises UserError if there are fewer than the spec says, or one is unusable."""
    if path is None:
        raise UserError("--problems: the spec does not say how to sample problems; give a file")
    with open_parquet(path, PROBLEMS) as file:
        total = file.metadata.num_rows
    stop = total if spec.rows is None else spec.first + spec.rows
    if stop > total or spec.first >= stop:
        wanted = f"{spec.first} to {stop - 1}"
        raise UserError(f"{path}: has {total} problems, not the rows {wanted} of this shard; {cure(path)}, or correct the counts")
    rows = list(islice(read_rows(path, PROBLEMS), spec.first, stop))
    check(rows, path, spec.first)
    return rows


def sample_shard(path: str | os.PathLike | None, spec: ProblemsSpec) -> list[dict]:
    """Sample the shard's rows (schemas.PROBLEMS). Raises UserError if there is a file as well, or as ``datasets.problems``."""
    if path is not None:
        raise UserError(f"--problems: the spec says how to sample the problems; drop {path}, or remove problems from the spec")
    return [row for batch in datasets.batches(spec) for row in batch.to_pylist()]


def check(rows: list[dict], path: str | os.PathLike, first: int = 0) -> None:
    """Raises UserError unless every row has an index of its own and a prompt. ``first``: the file's row at which they start."""
    seen = set()
    for number, row in enumerate(rows, first):
        index = (row["extra_info"] or {}).get("index")
        if index is None or index in seen:
            problem = "has no extra_info.index" if index is None else f"has the extra_info.index of another ({index})"
            raise UserError(f"{path}: row {number} {problem}; every problem needs its own")
        seen.add(index)
        if not row["prompt"] or any(not message or None in message.values() for message in row["prompt"]):
            raise UserError(f"{path}: problem {index}: prompt is empty or lacks a role or content; fix or remove the row")


def build_prompts(rows: list[dict], definitions: bool | None, template: str | None) -> list[list[Message]]:
    """A prompt for each row: its own (``definitions`` null), or rebuilt with definitions shown (true) or hidden (false)."""
    if definitions is None:
        return [row["prompt"] for row in rows]
    if template is None:
        raise UserError("template: needed to rebuild prompts (definitions is not null)")
    return [_rebuilt(row, definitions, template, f"problem {row['extra_info']['index']}") for row in rows]


def _rebuilt(row: dict, definitions: bool, template: str, where: str) -> list[Message]:
    task, problem = read(row, where)
    try:
        return task.prompt(problem, template, hints=definitions)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def fitting(lengths: list[int], rows: Sequence[dict], settings: Rollouts, positions: int | None) -> dict[int, int]:
    """Row number -> prompt tokens, for rows whose prompt and longest answer fit.

    ``positions``: the longest sequence the model holds. Raises UserError for the first other row, unless long_prompts is "skip".
    """
    kept = {}
    for number, (length, row) in enumerate(zip(lengths, rows)):
        if length > settings.max_prompt_tokens:
            problem = f"more than rollouts.max_prompt_tokens ({settings.max_prompt_tokens}); raise it"
        elif positions is not None and length + settings.max_response_tokens > positions:
            room = f"with rollouts.max_response_tokens ({settings.max_response_tokens}) more than the model's {positions} positions"
            problem = f"{room}; lower it"
        else:
            kept[number] = length
            continue
        if settings.long_prompts == "error":
            index = row["extra_info"]["index"]
            raise UserError(f"problem {index}: the prompt has {length} tokens, {problem}, or set rollouts.long_prompts: skip")
    return kept


def generate(
    spec: RolloutsSpec,
    problems: str | os.PathLike | None,
    model: str | os.PathLike,
    output: str | os.PathLike,
    state: str | os.PathLike,
    batch_size: int,
    options: Mapping | None = None,
) -> Summary:
    """Writes the rollouts of a shard (schemas.ROLLOUTS) and removes its working state.

    Finished batches are kept under ``state``; a run that was killed goes on with the others, in the same batches, so that the
    file is the one an uninterrupted run would have written. A continuous engine has one batch, of which finished problems are kept
    every few seconds; the others' responses may then differ from an uninterrupted run's, as far as the engine's do.
    ``options``: of the engine, beside those of the spec. Raises UserError for unusable problems or models, for prompts that
    don't fit, and when it was asked to stop (fofg.runtime.signals): after the batch, a continuous engine after its next sample.
    """
    rows = read_shard(problems, spec) if spec.problems is None else sample_shard(problems, spec.problems)
    prompts = build_prompts(rows, spec.definitions, spec.template)
    engine = create(spec.engine, model, spec.rollouts, spec.dtype, batch_size, {**(spec.options or {}), **(options or {})})
    lengths = fitting(engine.prompt_lengths(prompts), rows, spec.rollouts, engine.positions)
    digest = models.digest(Path(model))
    with exclusive(state), stoppable() as stop:
        kept = State(state, fingerprint(spec, engine.identity, digest, rows))
        most = len(lengths) * spec.rollouts.samples if _is_continuous(engine) else batch_size
        batches = cut(lengths, spec.rollouts.samples, most)
        answers, resumed, tokens = _answers(spec, rows, prompts, engine, batches, kept, stop)
        metadata = {METADATA: json.dumps({"spec": json.loads(spec.text()), "model": digest})}
        empty: dict[str, list] = {"responses": [], "finish_reasons": [], "token_counts": []}
        finished = [row | answers.get(number, empty) for number, row in enumerate(rows)]
        write_parquet(output, ROLLOUTS.with_metadata(metadata), (finished[i : i + 1000] for i in range(0, len(finished), 1000)))
        kept.remove()
    return Summary(len(rows), len(lengths) * spec.rollouts.samples, len(rows) - len(lengths), resumed, tokens)


def _answers(
    spec: RolloutsSpec, rows: list[dict], prompts: list, engine: Engine, batches: list[list[int]], state: State, stop: Stop
):
    """Row number -> responses, finish_reasons, token_counts; then samples taken from ``state``, tokens made now."""
    answers = {row.pop("problem"): row for row in state.load()}
    samples, resumed = spec.rollouts.samples, len(answers) * spec.rollouts.samples
    with _Progress(sum(map(len, batches)) * samples, resumed) as progress:
        for batch in batches:
            problems = [number for number in batch if number not in answers]
            if not problems:
                continue
            seeds = [
                tuple(sample_seed(spec.rollouts.seed, rows[number]["extra_info"]["index"], sample) for sample in range(samples))
                for number in problems
            ]
            requests = [Request(prompts[number], seed) for number, seed in zip(problems, seeds)]
            for finished in _finished(engine, requests, progress, stop):
                made = {problems[position]: _columns(results) for position, results in finished.items()}
                if made:
                    state.save([{"problem": number, **columns} for number, columns in made.items()])
                answers |= made
                if stop.is_set() and len(answers) < (total := sum(map(len, batches))):
                    kept = f"{len(answers) * samples} of {total * samples} samples"
                    raise UserError(f"stopped {stop.reason} with {kept}; run the same command to resume")
    return answers, resumed, progress.tokens


def _finished(engine: Engine, requests: list[Request], progress: "_Progress", stop: Stop) -> Iterator[dict[int, list[Sample]]]:
    """Groups of finished requests (position -> samples): of a continuous engine every few seconds, else one at the end.

    When ``stop`` is set, a continuous engine's at once. Raises UserError if the engine leaves out samples.
    """
    continuous = _is_continuous(engine)
    made: list[dict[int, Sample]] = [{} for _ in requests]
    finished, flushed = {}, time.monotonic()
    try:
        for position, sample, result in engine.generate(requests):
            made[position][sample] = result
            progress.add(result.token_count)
            if len(made[position]) == len(requests[position].seeds):
                finished[position] = [result for _, result in sorted(made[position].items())]
            if continuous and (stop.is_set() or (finished and time.monotonic() - flushed >= FLUSH_SECONDS)):
                yield finished
                finished, flushed = {}, time.monotonic()
    except Exception:  # a cluster's SIGTERM reaches the engine's own processes too
        if not (continuous and stop.is_set()):
            raise
        yield finished
        return
    if missing := sum(len(request.seeds) - len(samples) for request, samples in zip(requests, made)):
        raise UserError(f"rollout_engine.name: the engine left out {missing} samples of {len(requests)} prompts; fix it")
    if finished:
        yield finished


def _is_continuous(engine: Engine) -> bool:
    return getattr(engine, "continuous", False)  # an engine of one's own may not know of it


def _columns(results: list[Sample]) -> dict:
    return {
        "responses": [result.text for result in results],
        "finish_reasons": [result.finish_reason for result in results],
        "token_counts": [result.token_count for result in results],
    }


class _Progress:
    """A bar on standard error: samples done, time left, tokens per second."""

    def __init__(self, total: int, done: int):
        seconds = 0.5 if sys.stderr.isatty() else 15
        self.bar = tqdm(total=total, initial=done, unit=" samples", desc="rollouts", mininterval=seconds, dynamic_ncols=True)
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
