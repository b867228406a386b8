"""``fofg why``: what is stale and for which keys, or what changed keys would make stale.

Snakemake decides, in dry runs; this module words its answer.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from fofg.changes import ABSENT, arrow, differences
from fofg.config import Config
from fofg.plan import Job, dry_run
from fofg.provenance import CONFIG, FREE
from fofg.report.plain import aligned, short

#: Rules named in a list before the rest are counted.
_MAX_NAMES = 4
_CHANGED = "Params have changed since last execution"
#: Beginning of a part of Snakemake's reason for a job -> what is said instead, with the files or keys that follow.
_PARTS = {
    _CHANGED: "{}",
    "Missing output files": "missing: {}",
    "Incomplete output files": "incomplete: {}",
    "Updated input files": "changed since: {}",
    "Input files updated by another job": "",
    "Set of input files has changed since last execution": "other input files",
}
_REASON = re.compile(rf"(?:^|; )({'|'.join(_PARTS)})(?:: |(?=; )|$)")


def why(
    settings: Config,
    changed: Mapping[str, tuple[Any, Any]],
    targets: Sequence[str],
    configfiles: Sequence[str],
    values: Mapping[str, Any],
    before: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what is stale under a configuration, for which reasons, and what is kept.

    ``changed``: dotted key -> old and new value, to be listed; ``values``: configuration over ``configfiles``; ``before``: the
    same without a change, to set apart what is stale anyway. Rows of ``stale`` are rules in the order of the work, with hours of
    all GPUs together (of the machine without GPUs). Raises UserError with Snakemake's message.
    """
    runs = [(values, False), (values, True), *([] if before is None else [(before, True)])]
    with ThreadPoolExecutor(2) as pool:
        every, stale, *others = pool.map(lambda run: dry_run(targets, configfiles, *run), runs)
    anyway = {job.outputs[0] for jobs in others for job in jobs}
    known = {job.outputs[0] for job in stale}
    makers = {path: job.rule for job in stale for path in job.outputs}
    return {
        "changed": {key: list(pair) for key, pair in changed.items()},
        "stale": [_row(rule, jobs, makers) for rule, jobs in _by_rule(job for job in stale if job.outputs[0] not in anyway)],
        "anyway": {rule: len(jobs) for rule, jobs in _by_rule(job for job in stale if job.outputs[0] in anyway)},
        "kept": {rule: len(jobs) for rule, jobs in _by_rule(job for job in every if job.outputs[0] not in known)},
        "kept_gpu_hours": sum(job.estimate.gpu_seconds for job in every if job.outputs[0] not in known) / 3600,
        "gpus": max((job.gpus for job in every), default=0),
    }


def since_last_start(settings: Config) -> dict[str, tuple[Any, Any]]:
    """Return the keys whose values differ from those that the run was last started with; none if that is unknown."""
    with suppress(OSError, ValueError):
        before = json.loads(Path(settings.run_dir, CONFIG).read_text(encoding="utf-8"))
        pairs = differences(before, settings.model_dump(mode="json"))
        return {key: pair for key, pair in pairs.items() if key not in ("run_dir", "base_model") and ABSENT not in pair}
    return {}


def as_text(result: Mapping[str, Any], since: str = "") -> str:
    """Format the answer: keys that have changed (``since`` when), a table of rules with their reasons, and what is kept."""
    lines = [f"changed{since}:"] if result["changed"] else []
    for key, pair in result["changed"].items():
        free = any(f"{key}.".startswith(f"{name}.") for name in FREE)
        lines.append(f"  {arrow(key, *pair)}" + (" (changes no result)" if free else ""))
    if lines:
        lines.append("")
    kept, names = sum(result["kept"].values()), _names(result["kept"])
    if result["stale"]:
        hours = sum(row["gpu_hours"] for row in result["stale"])
        rows = [["reruns", "jobs", "GPU h" if result["gpus"] else "machine h"]]
        rows += [[row["rule"], str(row["jobs"]), short(row["gpu_hours"])] for row in result["stale"]]
        rows.append(["in all", str(sum(row["jobs"] for row in result["stale"])), short(hours)])
        rows.append(["kept", str(kept), short(result["kept_gpu_hours"])])
        remarks = ["why", *("; ".join(_reasons(row)) for row in result["stale"]), "", names]
        lines += [f"{line}  {remark}".rstrip() for line, remark in zip(aligned(rows), remarks, strict=True)]
    else:
        lines.append(f"reruns nothing{' more' if result['anyway'] else ''}; kept: {kept} jobs" + (f" ({names})" if names else ""))
    if result["anyway"]:
        lines.append(f"stale without this change: {sum(result['anyway'].values())} jobs ({_names(result['anyway'])})")
    return "\n".join(lines)


def _by_rule(jobs: Iterable[Job]) -> list[tuple[str, list[Job]]]:
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.rule, []).append(job)
    return list(groups.items())


def _row(rule: str, jobs: Sequence[Job], makers: Mapping[str, str]) -> dict[str, Any]:
    """Return the row of a rule. ``makers``: file -> rule of the stale job that makes it."""
    inputs = [path for job in jobs for path in job.inputs if path in makers]
    reasons: dict[str, list[str]] = {}
    for job in jobs:
        for phrase, details in _parts(job.reason):
            reasons.setdefault(phrase, []).extend(detail for detail in details if detail not in reasons[phrase])
    hours = sum(job.estimate.gpu_seconds for job in jobs) / 3600
    after = list(dict.fromkeys(makers[path] for path in inputs))
    return {"rule": rule, "jobs": len(jobs), "gpu_hours": hours, "after": after, "reasons": reasons}


def _parts(reason: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the parts of Snakemake's reason for a job: what it is, and the files or changed keys."""
    pieces = _REASON.split(reason)
    for phrase, text in zip(pieces[1::2], pieces[2::2]):
        yield phrase, [detail for detail in text.split("; " if phrase == _CHANGED else ", ") if detail]


def _reasons(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield in words why the jobs of a rule rerun: changed keys first, then the rules before it."""
    for phrase, words in _PARTS.items():
        if phrase in row["reasons"] and words:
            yield words.format(_names(row["reasons"][phrase]))
    if row["after"]:
        yield f"after {_names(row['after'])}"


def _names(names: Collection[str]) -> str:
    """Join names, the first ones if they are many."""
    listed = list(names)
    more = len(listed) - _MAX_NAMES
    return ", ".join(listed[:_MAX_NAMES] if more > 1 else listed) + (f" and {more} more" if more > 1 else "")
