"""``fofg graph``: the workflow's rules as a graph for Graphviz, grouped by stage, with what is stale filled."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from fofg.config.types import CHECKOUT
from fofg.plan import Job

#: Colors that are legible on a light and on a dark page.
_HEAD = """digraph fofg {
  graph [bgcolor=transparent, fontname="Helvetica", fontsize=15, nodesep=0.15, ranksep=0.35, newrank=true]
  node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=12, height=0.35, margin="0.12,0.05"]
  edge [color="#7a8594", arrowsize=0.7]"""
_STALE = 'fillcolor="#2f6690", color="#2f6690", fontcolor=white'
_FRESH = 'fillcolor=white, color="#7a8594", fontcolor="#3a4450", style="rounded,filled,dashed"'
_GROUP = 'style="rounded,filled"; fillcolor="#e8eef4"; color="#c3cedb"; fontcolor="#1e293b"; labeljust=l'


def dot(every: Sequence[Job], stale: Sequence[Job]) -> str:
    """Return the graph of the rules of ``every`` job in the DOT language, where those with jobs among ``stale`` are filled.

    Jobs are sorted as by ``fofg.plan.dry_run``. An edge that follows from others is left out; one to an earlier rule, which a
    later iteration runs again, is dashed.
    """
    counts, todo = Counter(job.rule for job in every), Counter(job.rule for job in stale)
    groups: dict[str, list[str]] = {}
    titles = _titles()
    for rule in counts:
        groups.setdefault(titles.get(rule, "Figures"), []).append(rule)
    lines = [_HEAD]
    for number, (title, rules) in enumerate(groups.items()):
        lines.append(f'  subgraph cluster_{number} {{ label="{title}"; {_GROUP}')
        lines += [f'    {rule} [label="{_label(rule, counts[rule], todo[rule])}"{_look(todo[rule])}]' for rule in rules]
        lines.append("  }")
    order = {rule: number for number, rule in enumerate(counts)}
    edges = _edges(every)
    forward = {rule: {after for after in edges[rule] if order[after] > order[rule]} for rule in order}
    for rule in order:
        lines += [f"  {rule} -> {after}" for after in sorted(_direct(rule, forward), key=order.__getitem__)]
        back = {after for after in edges[rule] if order[after] < order[rule]}
        lines += [f"  {rule} -> {after} [style=dashed, constraint=false]" for after in sorted(back, key=order.__getitem__)]
    return "\n".join([*lines, "}"])


def _label(rule: str, jobs: int, stale: int) -> str:
    number = f"{stale:,} of {jobs:,} jobs" if 0 < stale < jobs else f"{jobs:,} jobs"
    return f"{rule}\\n{number}" if jobs > 1 else rule


def _look(stale: int) -> str:
    return f", {_STALE if stale else _FRESH}"


def _titles() -> dict[str, str]:
    """Return rule -> title of the file that it stands in, which is the beginning of the file's docstring."""
    titles: dict[str, str] = {}
    for path in sorted((CHECKOUT / "rules").glob("*.smk")):
        text = path.read_text(encoding="utf-8")
        title = text.removeprefix('"""').partition(":")[0]
        titles |= dict.fromkeys(re.findall(r"^ *(?:use rule \w+ as|rule) (\w+)", text, re.MULTILINE), title)
    return titles


def _edges(jobs: Sequence[Job]) -> dict[str, set[str]]:
    """Return rule -> rules that read its outputs."""
    makers = {path: job.rule for job in jobs for path in job.outputs}
    edges: dict[str, set[str]] = {job.rule: set() for job in jobs}
    for job in jobs:
        for maker in {makers[path] for path in job.inputs if path in makers} - {job.rule}:
            edges[maker].add(job.rule)
    return edges


def _direct(rule: str, edges: Mapping[str, Collection[str]]) -> set[str]:
    """Return the rules after a rule of an acyclic graph that no other path leads to."""
    further, seen = [after for other in edges[rule] for after in edges[other]], set[str]()
    while further:
        if (after := further.pop()) not in seen:
            seen.add(after)
            further += edges[after]
    return set(edges[rule]) - seen
