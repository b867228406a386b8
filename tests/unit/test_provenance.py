"""Files that Snakemake has no record of, and the keys that may have made them stale."""

import shutil
from base64 import urlsafe_b64encode

import pytest
from configs import DEFAULT, ROOT, configured

from fofg import provenance
from fofg.config import keys, read
from fofg.data.files import write_json
from fofg.errors import UserError
from fofg.models.model_files import digest

DEFAULT_SEED = configured().problems.seed


@pytest.fixture
def run(tmp_path):
    """Return a folder with the configuration of a finished run."""
    provenance.note(configured(run_dir=str(tmp_path)), [])
    return tmp_path


def changed_keys(run, **changes):
    return provenance.changed_keys(configured(run_dir=str(run), **changes))


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, []),
        ({"problems": {"seed": 7}}, ["problems.seed"]),
        ({"datasets": {"stage1_level1": {"levels": [2, 2]}}}, ["datasets.stage1_level1.levels"]),
        (
            {"container": "docker://an/image", "training": {"threads": 1, "verl": {"offload": True}}, "plan": {"kept_share": 0.9}},
            [],
        ),
        ({"rollout_engine": {"batch_size": 3, "dtype": "bfloat16"}}, ["rollout_engine.dtype"]),
        ({"datasets": {"mine": {"stage": 2, "levels": [3, 3], "train": 5, "test": 0}}}, []),
        ({"use": {"stage1_checkpoint": "mine"}}, ["use.stage1_checkpoint"]),
    ],
)
def test_keys_that_change_results_are_compared(run, changes, found):
    assert changed_keys(run, **changes) == found


@pytest.mark.parametrize("text", ["", "{", "[]", None])
def test_a_run_without_a_configuration_cannot_be_compared(run, text):
    (run / "results/config.json").unlink()
    if text is not None:
        (run / "results/config.json").write_text(text)
    assert changed_keys(run, problems={"seed": 7}) is None
    assert str(run / "results/config.json") in provenance.unknown(["a", "b", "c"], str(run))


def test_changed_keys_are_remembered_until_all_files_are_new(run):
    settings = configured(run_dir=str(run), problems={"seed": 7})
    provenance.note(settings, provenance.changed_keys(settings))
    for seed in (DEFAULT_SEED, 7, 8):  # files of either may be left of a run that was stopped
        assert changed_keys(run, problems={"seed": seed}) == ["problems.seed"]
    with pytest.raises(UserError) as error:
        provenance.refuse(["problems.seed"], ["a"], str(run), "Snakefile")
    assert "--touch" not in str(error.value), "would record files of one configuration as the other's"
    provenance.forget(run)
    assert changed_keys(run, problems={"seed": 7}) == []
    assert changed_keys(run) == ["problems.seed"]


def test_the_base_model_is_compared_by_its_bytes(run, tmp_path_factory):
    moved = tmp_path_factory.mktemp("moved")
    for path in (ROOT / "resources/tiny-base").iterdir():
        shutil.copy(path, moved)
    assert changed_keys(run, base_model=str(moved)) == ["base_model"], "no record of what was prepared"
    write_json(run / "checkpoints/base/source.json", {"source": digest(ROOT / "resources/tiny-base")})
    assert changed_keys(run) == changed_keys(run, base_model=str(moved)) == []
    (moved / "chat_template.jinja").write_text("another")
    assert changed_keys(run, base_model=str(moved)) == ["base_model"]
    assert changed_keys(run, base_model="some/name") == ["base_model"]


@pytest.mark.parametrize("run_dir", [".", "runs/a"])
def test_custom_files_are_compared_from_any_folder(tmp_path, monkeypatch, run_dir):
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path)
    provenance.note(configured(run_dir=run_dir, use={"stage1_problems": "own.parquet"}), [])
    monkeypatch.chdir(tmp_path / "else")
    for name, found in (("own.parquet", []), ("else/own.parquet", ["use.stage1_problems"])):
        assert changed_keys(tmp_path / run_dir, use={"stage1_problems": str(tmp_path / name)}) == found


def test_keys_that_change_no_result_exist():
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
