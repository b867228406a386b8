"""Links to the last iteration: relative, replacing what was there, all or none where a target is missing."""

import json
import os
import shutil
from pathlib import Path

import pytest

from fofg.errors import UserError
from fofg.rft.links import publish

SCRIPT = Path(__file__).parents[2] / "workflow/scripts/link_iteration.py"
NAMES = ("rollout.parquet", "rft_data/train.parquet")


@pytest.fixture
def run(tmp_path) -> Path:
    """A run's folder with two iterations."""
    for iteration in ("iter0", "iter1"):
        for name in NAMES:
            path = tmp_path / "run" / iteration / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{iteration} {name}")
    return tmp_path / "run"


def pairs(run: Path, iteration: str) -> list[tuple[Path, Path]]:
    return [(run / iteration / name, run / "final" / name) for name in NAMES]


def test_links_are_relative_and_survive_a_move(run):
    publish(pairs(run, "iter1"))
    assert [os.readlink(run / "final" / name) for name in NAMES] == [
        "../iter1/rollout.parquet",
        "../../iter1/rft_data/train.parquet",
    ]
    shutil.move(run, run.with_name("moved"))
    assert (run.with_name("moved") / "final/rft_data/train.parquet").read_text() == "iter1 rft_data/train.parquet"


@pytest.mark.parametrize("before", ["file", "link", "broken link", "left by a killed run"])
def test_old_files_and_links_are_replaced(run, before):
    link = run / "final/rollout.parquet"
    link.parent.mkdir()
    if before == "file":
        link.write_text("old")
    elif before == "link":
        link.symlink_to("../iter0/rollout.parquet")
    elif before == "broken link":
        link.symlink_to("../iter7/rollout.parquet")
    else:
        (link.parent / ".rollout.parquet.partial").symlink_to("../iter0/rollout.parquet")
    publish(pairs(run, "iter1"))
    publish(pairs(run, "iter1"))
    assert link.is_symlink() and link.read_text() == "iter1 rollout.parquet"
    assert (run / "iter0/rollout.parquet").read_text() == "iter0 rollout.parquet"
    assert not list(run.glob("final/.*"))


def test_links_reach_their_targets_through_linked_folders(run, tmp_path):
    (tmp_path / "elsewhere/deep").mkdir(parents=True)
    (run / "final").symlink_to(tmp_path / "elsewhere/deep")
    (tmp_path / "short").symlink_to(run / "iter1")
    publish([(tmp_path / "short/rollout.parquet", run / "final/rollout.parquet")])
    assert os.readlink(tmp_path / "elsewhere/deep/rollout.parquet") == "../../run/iter1/rollout.parquet"
    assert (run / "final/rollout.parquet").read_text() == "iter1 rollout.parquet"


def test_unusable_pairs_are_errors_before_any_link_is_made(run):
    (run / "iter1/rft_data/train.parquet").unlink()
    with pytest.raises(UserError, match=r"iter1/rft_data/train\.parquet: no such file"):
        publish(pairs(run, "iter1"))
    with pytest.raises(UserError, match=r"iter1/rollout\.parquet: can't be a link to itself"):
        publish([(run / "iter1/rollout.parquet", run / "iter0/../iter1/rollout.parquet")])
    with pytest.raises(UserError, match="iter0: a folder has this name"):
        publish([(run / "iter1/rollout.parquet", run / "iter0")])
    assert not (run / "final").exists()
    (run / "final").write_text("")
    with pytest.raises(UserError, match=r"final/rollout\.parquet: can't be made a link"):
        publish([(run / "iter1/rollout.parquet", run / "final/rollout.parquet")])


def test_shards_are_linked_with_their_index_and_those_of_an_earlier_model_removed(tmp_path):
    def model(name: str, *shards: str) -> list[tuple[Path, Path]]:
        (tmp_path / name).mkdir()
        index = {"weight_map": {f"weight{number}": shard for number, shard in enumerate(shards)}}
        for file in (*shards, "model.safetensors.index.json"):
            (tmp_path / name / file).write_text(json.dumps(index))
        return [(tmp_path / name / "model.safetensors.index.json", tmp_path / "final/model.safetensors.index.json")]

    publish(model("one", "a.safetensors", "b.safetensors", "c.safetensors"))
    publish(model("other", "a.safetensors", "d.safetensors"))
    linked = {path.name: path.resolve().parent.name for path in (tmp_path / "final").iterdir()}
    assert linked == dict.fromkeys(("a.safetensors", "d.safetensors", "model.safetensors.index.json"), "other")
