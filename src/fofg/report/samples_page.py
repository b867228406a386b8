"""The responses of all models in one HTML page, to filter and to compare; it needs no network."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fofg import names
from fofg.evaluation import samples
from fofg.evaluation.samples import Response, Sample
from fofg.report.samples import cut, ending, harmless, short, solution
from fofg.tasks.task import AnswerRule

_TITLES = {"visible": "definitions visible", "hidden": "definitions hidden"}
_TEMPLATE = Path(__file__).with_name("samples.html")


def page(rollouts: Mapping[str, str | Path], problems: int, rule: AnswerRule, tested: str) -> str:
    """Return the page. ``rollouts``: MODEL/SET -> file, a set of problems being answered by several models.
    ``tested``: title of the evaluation's problems, which ``fofg show`` means when it gets a model's name alone.

    Of each file, it has the first response to the first ``problems`` of each level. Raises UserError for a damaged file.
    """
    sets: dict[str, dict] = {}
    titles = {names.HELD_OUT: tested, **_TITLES}
    for name, path in rollouts.items():
        model, _, problem_set = name.partition("/")
        known = sets.setdefault(problem_set, {"title": titles.get(problem_set, problem_set), "models": [], "problems": {}})
        known["models"].append(model)
        for sample in samples.first(path, problems, rule):
            if (key := samples.key(sample)) not in known["problems"]:
                known["problems"][key] = _problem(sample)
            known["problems"][key]["responses"][model] = _response(sample.responses[0])
    about = f"One response of each model, of the first seed, to the first problems of each level, at most {problems}."
    shown = {name: {**known, "problems": list(known["problems"].values())} for name, known in sets.items()}
    data = json.dumps({"about": about, "short": names.HELD_OUT, "sets": shown}, separators=(",", ":"))
    # With no "<" in it, no text of a model can end the script element that the data is in.
    return _TEMPLATE.read_text(encoding="utf-8").replace("{{data}}", data.replace("<", "\\u003c"))


def _problem(sample: Sample) -> dict[str, Any]:
    trace, expected = solution(sample)
    return {
        "number": sample.number,
        "level": sample.level,
        "prompt": [{"role": message["role"], **_lines(message["content"])} for message in sample.prompt],
        "trace": list(map(_short, trace)),
        "expected": expected and _short(expected),
        "responses": {},
    }


def _response(response: Response | None) -> dict[str, Any]:
    assert response is not None  # of one's own file
    explanation = response.explanation
    shown = {
        "verdict": response.outcome.value if response.outcome else "no verdict",
        "class": response.failure,
        "facts": f"{response.name}, {ending(response)}",
        "remark": _short(response.remark),
        **_lines(response.text, explanation and explanation.line),
    }
    if explanation:
        shown["answer"] = None if explanation.answer is None else _short(explanation.answer)
        if explanation.line is not None:
            shown["remark"] = _short(f"First wrong step, line {explanation.line + 1}: {explanation.remark}")
    return shown


def _lines(text: str, wrong: int | None = None) -> dict[str, Any]:
    """Return the lines of a text, and which of them is the first wrong step; long texts are cut."""
    lines = list(cut(text))
    marked = next((index for index, (number, _) in enumerate(lines) if number is not None and number == wrong), None)
    return {"lines": [harmless(line) for _, line in lines], "wrong": marked}


def _short(text: str) -> str:
    return short(harmless(text))
