"""``fofg why``: what a real dry run would start, with the keys that it is for."""

import json
import sys

import pytest
import yaml
from checkouts import SMALL, TARGETS
from configs import nested
from test_exact_reruns import EXPECTED, count

from fofg.__main__ import main

pytestmark = pytest.mark.slow


@pytest.fixture
def why(finished, monkeypatch, capsys):
    """Run ``fofg why`` in the finished run."""

    def run(*words: str, configfiles=()) -> dict:
        monkeypatch.chdir(finished.folder)
        overlays = ["--configfile", str(SMALL), *map(str, configfiles)]
        monkeypatch.setattr(sys, "argv", ["fofg", "why", *words, *TARGETS, "--json", *overlays])
        main()
        return json.loads(capsys.readouterr().out)

    return run


def jobs(result) -> dict[str, int]:
    return {row["rule"]: row["jobs"] for row in result["stale"]}


@pytest.mark.parametrize(
    ("key", "rule", "change"),
    [
        ("stage2.rl.learning_rate", "train_rl", "rl.learning_rate 0.0002 → 1e-05"),
        ("datasets.stage1_level1.train", "gather_rollouts", "shards 2 → 3"),
        ("scoring.answer_rule", "count_passk", 'answer_rule "published" → "lenient"'),
        ("use.stage1_rft_data", None, None),
    ],
)
def test_a_changed_key_is_named_with_what_a_dry_run_would_start(finished, why, tmp_path, key, rule, change):
    value = yaml.safe_load(yaml.safe_dump(EXPECTED[key][0]).replace("{run}", str(finished.folder)))
    overlay = tmp_path / "changed.yaml"
    overlay.write_text(yaml.safe_dump(nested({key: value})))
    result = why(f"{key}={json.dumps(value)}")
    assert jobs(result) == finished.stale([overlay]) == count(EXPECTED[key][1])
    assert key in result["changed"] and result["anyway"] == {}
    for row in result["stale"]:
        assert row["after"] or row["reasons"], row
        if row["rule"] == rule:
            assert row["reasons"]["Params have changed since last execution"] == [change]


def test_what_is_stale_anyway_is_set_apart(why, tmp_path):
    """Also a key that changes a job which another key makes stale: its own change is named beside."""
    overlay = tmp_path / "anyway.yaml"
    overlay.write_text("figures: {dpi: 41}\n")
    result = why("problems.seed=7", "stage2.rl.learning_rate=1e-5", configfiles=[overlay])
    assert result["anyway"] == count(job for job in EXPECTED["figures.dpi"][1])
    (row,) = [row for row in result["stale"] if row["rule"] == "train_rl"]
    assert row["reasons"]["Params have changed since last execution"] == ["rl.learning_rate 0.0002 → 1e-05"]
    assert {"train_sft", "create_problems"} <= {*row["after"]}


def test_the_dry_run_itself_names_the_keys(finished):
    done = finished.run("all", "--dry-run", "--config", "stage2={rl: {learning_rate: 1e-5}}")
    reasons = [line for line in done.stdout.splitlines() if "Params have changed" in line]
    assert len(reasons) == 3
    assert all(line.endswith("Params have changed since last execution: rl.learning_rate 0.0002 → 1e-05") for line in reasons)
