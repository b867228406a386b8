"""Files that Snakemake has no record of, and the keys that may have made them stale."""

import json
from base64 import urlsafe_b64encode

import pytest
from plans import DEFAULT, configured

from fofg import provenance
from fofg.config import keys, read
from fofg.errors import UserError


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(configured().model_dump(mode="json")))
    return path


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, []),
        ({"problems": {"seed": 7}}, ["problems.seed"]),
        ({"datasets": {"stage1_level1": {"levels": [2, 2]}}}, ["datasets.stage1_level1.levels"]),
        ({"run_dir": "elsewhere", "training": {"threads": 1, "verl": {"offload": True}}, "plan": {"kept_share": 0.9}}, []),
        ({"rollout_engine": {"batch_size": 3, "dtype": "bfloat16"}}, ["rollout_engine.dtype"]),
        ({"datasets": {"mine": {"stage": 2, "levels": [3, 3], "train": 5, "test": 0}}}, []),
        ({"use": {"stage1_checkpoint": "mine"}}, ["use.stage1_checkpoint"]),
    ],
)
def test_keys_that_decide_results_are_compared(config, changes, found):
    assert provenance.changed_keys(config, configured(**changes)) == found


@pytest.mark.parametrize("text", ["", "{", None])
def test_a_run_that_left_no_configuration_is_compared_with_nothing(config, text):
    if text is None:
        config.unlink()
    else:
        config.write_text(text)
    assert provenance.changed_keys(config, configured(problems={"seed": 7})) == []


def test_what_changes_no_result_is_a_key(config):
    known = set(keys(read([DEFAULT])))
    assert all(free in known or any(key.startswith(f"{free}.") for key in known) for free in provenance.FREE)


def test_files_without_a_record_are_named(tmp_path):
    long = "results/" + "x" * 300
    for kind, path in (("metadata", "data/a.parquet"), ("metadata", long), ("incomplete", "data/running.parquet")):
        code = urlsafe_b64encode(path.encode()).decode()
        record = tmp_path / kind / (code if len(code) < 255 else f"@{code[:254]}/{code[254:]}")
        record.parent.mkdir(parents=True, exist_ok=True)
        record.touch()
    assert provenance.unrecorded(["data/a.parquet", "data/b.parquet", "data/running.parquet", long], tmp_path) == ["data/b.parquet"]
    provenance.refuse(["problems.seed"], [], ".")
    with pytest.raises(UserError, match=r"^data/b.parquet: made with another configuration \(problems.seed\)"):
        provenance.refuse(["problems.seed"], ["data/b.parquet"], ".")
