"""A plan as aligned text, and as JSON."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, astuple

from fofg.config import Config
from fofg.plan.estimate import STATE_BYTES, STATES, Cost, Estimate
from fofg.plan.jobs import MOST_STARTS, Jobs
from fofg.plan.rules import RULES
from fofg.plan.work import Amount, Rollouts, Training


def text(settings: Config, plan: Estimate, jobs: list[Jobs]) -> str:
    """Tables of problems, rollouts, training and jobs, then totals and what they were counted with."""
    head = f"{' '.join(plan.targets)}, counted from nothing, with {settings.base_model} ({plan.model.parameters:,} parameters)"
    tables = [_problems(plan), _rollouts(plan), _training(plan), _jobs(settings, plan, jobs)]
    return "\n\n".join([head, *filter(None, tables), _totals(settings, plan), *_assumptions(settings, plan)])


def as_json(settings: Config, plan: Estimate, jobs: list[Jobs]) -> str:
    """The same and the bounds of every count; ``assumptions`` is the section ``plan``."""
    total = plan.total()
    return json.dumps(
        {
            "targets": plan.targets,
            "unit": plan.unit,
            "devices": plan.devices,
            "problems": [asdict(row) for row in plan.problems],
            "rollouts": [_row(row, cost) for row, cost in plan.rollouts],
            "training": [_row(row, cost) for row, cost in plan.training],
            "jobs": [asdict(row) for row in jobs],
            "total": asdict(total) | _counts(plan) | _requested(jobs) | {"download_gb": plan.download_gb},
            "assumptions": settings.plan.model_dump(mode="json")
            | {"model_parameters": plan.model.parameters, "model_parameters_from": plan.model.source},
        },
        indent=2,
    )


def _row(row: Rollouts | Training, cost: Cost) -> dict:
    amounts = {name: value._asdict() for name, value in vars(row).items() if isinstance(value, Amount)}
    return asdict(row) | amounts | asdict(cost)


def _counts(plan: Estimate) -> dict[str, int]:
    rollouts, training = [row for row, _ in plan.rollouts], [row for row, _ in plan.training]
    return {
        "problems": sum(row.problems for row in plan.problems),
        "responses": sum(row.responses.most for row in rollouts),
        "response_tokens": sum(row.response_tokens for row in rollouts),
        "training_tokens": sum(row.tokens for row in training),
    }


def _requested(jobs: list[Jobs]) -> dict[str, float]:
    """Of a cluster."""
    submitted = [row for row in jobs if not row.local]
    return {
        "submitted_jobs": sum(row.submissions for row in submitted),
        "gpu_hours_requested": sum(row.gpu_hours_requested for row in submitted),
    }


def _problems(plan: Estimate) -> str:
    rows = [[row.stage, _count(row.jobs), _count(row.problems)] for row in plan.problems]
    return _table(["problems", "jobs", "problems"], rows)


def _rollouts(plan: Estimate) -> str:
    headings = ["rollouts", "jobs", "prompts", "responses", "prompt tok. ≤", "response tok. ≤", "expected"]
    rows = [
        [
            row.stage,
            _count(row.jobs),
            _range(row.prompts),
            _range(row.responses),
            *map(_count, (row.prompt_tokens, row.response_tokens, row.expected_tokens)),
            _number(cost.hours),
            _number(cost.kept_gb),
        ]
        for row, cost in plan.rollouts
    ]
    return _table([*headings, f"{plan.unit} hours", "GB"], rows)


def _training(plan: Estimate) -> str:
    headings = ["training", "jobs", "steps ≤", "examples ≤", "tokens ≤", "expected", f"{plan.unit} hours", "GB", "GB meanwhile"]
    rows = [
        [
            row.stage,
            *map(_count, (row.jobs, row.steps.most, row.examples.most, row.tokens, row.expected_tokens)),
            _number(cost.hours),
            _number(cost.kept_gb),
            _number(cost.working_gb),
        ]
        for row, cost in plan.training
    ]
    return _table(headings, rows)


def _jobs(settings: Config, plan: Estimate, jobs: list[Jobs]) -> str:
    """What a cluster is asked for: a row per rule that the tables above tell of, one for all others; then what else to know."""
    told = {row.rule for row in plan.problems} | {row.rule for row, _ in [*plan.rollouts, *plan.training]}
    submitted, local = [row for row in jobs if not row.local], [row for row in jobs if row.local]
    others = [row for row in submitted if row.rule not in told]
    rows = [_asked(row.rule, [row]) for row in submitted if row.rule in told]
    if others:
        rows.append(_asked(others[0].rule if len(others) == 1 else f"{len(others)} other rules, minutes each", others))
    if len(rows) > 1:
        total = _requested(jobs)
        rows.append(["in all", _count(total["submitted_jobs"]), "", "", "", _number(total["gpu_hours_requested"])])
    columns = 6 if any(row.gpus for row in submitted) else 4
    headings = ["jobs of a cluster", "jobs", "GB a node", "time limit", "GPUs", "GPU hours ≤"]
    lines = [
        _table(headings[:columns], [row[:columns] for row in rows]),
        *(_goes_on(settings, row) for row in submitted if row.starts > 1),
    ]
    if local:
        lines.append(f"run by the main process, seconds each: {_counted(sum(row.jobs for row in local), 'job', 'jobs')}")
    return "\n".join(filter(None, lines))


def _asked(label: str, rows: list[Jobs]) -> list[str]:
    """Of the jobs of some rules, each at most."""
    limit, gpus = max(row.minutes for row in rows), max(row.nodes * row.gpus for row in rows)
    memory, hours = max(row.memory_mb for row in rows) / 1000, sum(row.gpu_hours_requested for row in rows)
    return [label, _count(sum(row.submissions for row in rows)), f"{memory:,.1f}", _clock(limit), _count(gpus), _number(hours)]


def _goes_on(settings: Config, row: Jobs) -> str:
    """What becomes of a job that takes longer than its limit."""
    ends = row.minutes - math.ceil(settings.cluster.grace_period / 60)
    job = f"{row.rule}: a job is expected to take {_clock(math.ceil(row.expected_minutes))}, ends at {_clock(ends)}"
    if row.starts <= MOST_STARTS:
        return f"{job} and goes on in {_counted(row.starts - 1, 'retry', 'retries')}, each of which asks for as much again"
    key = "cluster.max_runtime" if RULES[row.rule].model else f"--set-resources {row.rule}:runtime=MINUTES"
    return f"{job} and needs {row.starts} starts, but profiles/slurm gives {MOST_STARTS}: raise {key}"


def _table(headings: list[str], rows: list[list[str]]) -> str:
    """Columns of even width, the first on the left; nothing without rows."""
    if not rows:
        return ""
    widths = [max(map(len, column)) for column in zip(headings, *rows)]
    lines = [
        [cells[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:]))]
        for cells in [headings, *rows]
    ]
    return "\n".join("  ".join(line).rstrip() for line in lines)


def _totals(settings: Config, plan: Estimate) -> str:
    """What is made in all; hours and disk, unless it is problems alone."""
    total, counts = plan.total(), _counts(plan)
    made = [f"{counts['problems']:,} problems"] if plan.problems else []
    if plan.rollouts:
        made.append(f"{counts['responses']:,} responses of {counts['response_tokens']:,} tokens at most")
    lines = [", ".join(made)] if made else []
    if plan.costs():
        expected, most, wall, kept, working = (_number(value, "0") for value in astuple(total))
        lines += [
            f"{plan.unit} hours  {expected} expected, {most} if every response is as long as allowed",
            f"wall clock  {wall} hours on {_on(plan)}, one row after another",
            f"disk  {kept} GB under {settings.run_dir}, {working} GB more while training",
        ]
    if plan.download_gb:
        lines[-1] += f", {_number(plan.download_gb)} GB for {settings.base_model}, unless downloaded"
    return "\n".join(lines)


def _on(plan: Estimate) -> str:
    if plan.unit == "machine":
        return "this machine"
    return "1 GPU" if plan.devices == 1 else f"{plan.devices} GPUs"


def _assumptions(settings: Config, plan: Estimate) -> list[str]:
    """What the estimate rests on, each with its key; nothing where only problems are made."""
    lines = list(_used(settings, plan))
    if not lines:
        return []
    widths = [max(map(len, column)) for column in zip(*lines)]
    shown = [f"  {value:>{widths[0]}}  {what:<{widths[1]}}  {key}" for value, what, key in lines]
    return ["\n".join(["Counted with these; put in what you measure (benchmarks/rollouts.py, metrics.jsonl):", *shown])]


def _used(settings: Config, plan: Estimate) -> Iterator[tuple[str, str, str]]:
    """Value, meaning and key of what plays a part."""
    whose = "a GPU" if plan.unit == "GPU" else "this machine"
    rules = {row.rule for row, _ in plan.training}
    tuned = rules - {"build_tiny_base"}
    stored = any(row.copies for row, _ in plan.rollouts)
    meanings = [
        ("rollout_tokens_per_second", f"response tokens/s of {whose}", plan.rollouts),
        ("sft_tokens_per_second", f"tokens/s of {whose}, fine-tuning", "train_sft" in rules),
        ("rl_tokens_per_second", f"tokens/s of {whose}, updates of reinforcement learning", "train_rl" in rules),
        ("pretraining_tokens_per_second", f"tokens/s of {whose}, pre-training", "build_tiny_base" in rules),
        ("mean_response_tokens", "tokens of a response", plan.rollouts or tuned),
        ("mean_prompt_tokens", "tokens of a prompt in training", tuned),
        ("kept_share", "of responses are kept for fine-tuning", "train_sft" in rules),
        ("generation_batches", "draws per step of reinforcement learning", "train_rl" in rules),
        ("rl_step_seconds", "s a step of it, besides its tokens", "train_rl" in rules),
        ("start_seconds", "s to start a job", plan.costs()),
        ("bytes_per_token", "bytes of a stored token", stored),
    ]
    for key, meaning, plays in meanings:
        if plays:
            yield f"{getattr(settings.plan, key):,.12g}", meaning, f"plan.{key}"
    if tuned:
        state = f"parameters: {STATE_BYTES} bytes each in a checkpoint to resume from, up to {STATES} of these at once"
        yield f"{plan.model.parameters:,}", state, plan.model.source


def _count(value: int) -> str:
    return f"{value:,}" if value else "-"


def _counted(value: int, one: str, many: str) -> str:
    return f"{value:,} {one if value == 1 else many}"


def _clock(minutes: int) -> str:
    return f"{minutes // 60}:{minutes % 60:02}"


def _range(amount: Amount) -> str:
    return _count(amount.most) if amount.least == amount.most else f"{amount.least:,}–{amount.most:,}"


def _number(value: float, nothing: str = "-") -> str:
    """Three significant digits, or all before the point; hundredths at the smallest."""
    if not value:
        return nothing
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}" if value >= 0.005 else "< 0.01"
