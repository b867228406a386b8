"""The paper's settings and numbers, against facts transcribed from the paper and its public code."""

import json
import re

import pytest
from configs import COUNTDOWN, PAPER, ROOT, configured, value_of

from fofg import specs
from fofg.data import datasets
from fofg.report import paper

FACTS = json.loads((ROOT / "tests/reference/paper.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def settings():
    return configured(PAPER)


@pytest.mark.parametrize("key", FACTS["settings"])
def test_paper_overlay_has_the_published_value(settings, key):
    value, fact = value_of(settings, key), FACTS["settings"][key]
    assert (value if not isinstance(fact, dict) else {name: value[name] for name in fact}) == fact


def test_countdown_overlay_has_the_published_values_and_the_papers_numbers():
    facts, settings = FACTS["countdown"], configured(PAPER, COUNTDOWN)
    assert {key: value_of(settings, key) for key in facts["settings"]} == facts["settings"]
    assert shown(paper.TRANSFER) == facts["accuracy"]


@pytest.mark.parametrize("overlay", [PAPER, COUNTDOWN])
def test_every_setting_of_the_papers_overlays_names_its_source(overlay):
    """Up to the sections on engines and speed."""
    lines = overlay.read_text(encoding="utf-8").partition("\nrollout_engine:")[0].splitlines()
    settings = [line for line in lines if re.match(r"\s+\w+: *[^\s#]", line)]
    source = re.compile(r"# .*(§\d|App\. [A-F]|\bcode\b|\bpaper\b|issue #\d|unstated|this project)")
    assert len(settings) > (70 if overlay == PAPER else 20)
    assert [line for line in settings if not source.search(line)] == []


def test_the_default_has_the_pass_at_k_models_of_figure_5():
    assert configured().passk.models == FACTS["passk"]["models"]


def test_published_datasets_overlap_as_stated(settings):
    """``docs/paper.md`` and ``config/paper.yaml`` give these numbers."""

    def problems(name: str, split: str) -> list[tuple[str, str]]:
        made = datasets.problems(specs.problems(settings, name, split))
        return [(problem.question, problem.input) for problem in made]

    train, evaluation = problems("stage1_level1", "train"), problems("stage2_level1to8", "test")
    facts = FACTS["overlap"]
    assert problems("stage1_level1", "test") == train[: facts["stage1_level1/test"]]
    assert len(set(train) & set(evaluation)) == facts["stage2_level1to8/test"]
    stated = (ROOT / "docs/paper.md").read_text(encoding="utf-8")
    assert f"{facts['stage2_level1to8/test']} of the evaluation's" in stated


def shown(rows: list[paper.Published]) -> dict[str, dict[str, str]]:
    return {row.model: {str(level): number for level, number in row.numbers.items()} for row in rows}


def test_accuracies_are_the_published_ones():
    assert shown(paper.ACCURACY) == FACTS["accuracy"]


def test_reproduction_has_its_own_numbers():
    facts = FACTS["reproduction"]
    expected = {
        model: {str(level): f"{round(100 * share, 1):g}% (exact)" for level, share in enumerate(shares, 1)}
        for model, shares in facts["accuracy"].items()
    }
    found = {
        model: {level: re.sub(r"\.0%", "%", number) for level, number in levels.items()}
        for model, levels in shown(paper.REPRODUCED).items()
    }
    assert found == expected
    assert f"{facts['sft_epochs']} epochs" in paper.REPRODUCTION_NOTE
    assert f"{facts['problems_per_level']} problems" in paper.REPRODUCTION_NOTE
    assert facts["decoding"] in paper.REPRODUCTION


def test_pass_at_k_has_the_models_and_leads_of_figure_5():
    assert list(paper.PASSK_MODELS) == FACTS["passk"]["models"]
    assert {str(gap.k): gap.points for gap in paper.PASSK} == FACTS["passk"]["level5_lead"]
    assert {gap.level for gap in paper.PASSK} == {5}


def test_failure_shares_are_the_published_ones():
    facts = dict(FACTS["failures"])
    level, misread = facts.pop("level"), facts.pop("misread_structure")
    assert level == paper.FAILURE_LEVEL
    assert {row.model: row.numbers for row in paper.FAILURES} == facts
    assert [row.model for row in paper.FAILURES[:3]] == misread["models"] and f"{paper.MISREAD} (exact)" == misread["share"]
