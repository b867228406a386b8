"""Cards of models and datasets, read back by the hub's own library; uploads against a local server that speaks the hub's HTTP."""

import base64
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import results_tables as tables
from huggingface_hub import DatasetCard, ModelCard, constants

from fofg.config import Dataset
from fofg.data.files import write_parquet
from fofg.data.schemas import ACCURACY, PROBLEMS
from fofg.errors import UserError
from fofg.evaluation.seeds import over_seeds
from fofg.publish.dataset_cards import write_examples, write_problems
from fofg.publish.hub import push
from fofg.publish.model_cards import Model, Run, write_card

RL = Model("stage2-rl-level2", "stage2-rl-level2", 0, "stage1-rft", ["stage2_level2"])


@pytest.fixture
def folder(tmp_path):
    """A trained model's records, and the run's accuracy beside its folder."""
    result = tmp_path / RL.name
    result.mkdir()
    (result / "config.json").write_text("{}")
    (result / "spec.json").write_text('{"rl": {"learning_rate": 1e-05, "note": "---\\nlicense: mit"}}')
    (result / "metrics.jsonl").write_text('{"step": 24, "tokens": 12345, "seconds": 3.0}\n')
    write_parquet(tmp_path / "accuracy.parquet", ACCURACY, [tables.accuracy()])
    return result


def card_of(folder, base) -> ModelCard:
    run = Run("a/base", str(base), [0], "stage2_level1to8", "held-out functions")
    write_card(RL, run, folder.parent / "accuracy.parquet", folder)
    return ModelCard.load(folder / "README.md")


def test_the_hub_reads_every_accuracy_of_the_model_with_its_interval(folder, tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "base/README.md").write_text("---\nlicense: llama3.1\n---\n")
    card = card_of(folder, tmp_path / "base")
    rows = [row for row in tables.accuracy() if row["model"] == RL.name]
    read = {(result.metric_config, result.dataset_config): result for result in card.data.eval_results}
    assert len(read) == len(rows) == 16
    for row in rows:
        result = read[row["decoding"], f"level{row['level']}"]
        assert result.metric_value == pytest.approx(row["accuracy"], abs=1e-4)
        assert f"{row['low']:.3f} to {row['high']:.3f}, n = 64" in result.metric_name
    assert card.data.license == "llama3.1" and not card.data.base_model  # a folder is no name on the hub
    assert "learning_rate: 1.0e-05" in card.text and "12,345 tokens" in card.text


def test_the_mean_of_all_seeds_has_the_interval_of_all_other_tables(folder):
    """The variance between seeds is pooled over all models, and theirs is larger than this one's."""
    rows = [
        row | {"seed": seed, "accuracy": row["accuracy"] * (1 - (0.1 if row["model"] == RL.name else 0.2) * seed)}
        for seed in range(3)
        for row in tables.accuracy(levels=[2])
    ]
    write_parquet(folder.parent / "accuracy.parquet", ACCURACY, [rows])
    text = card_of(folder, "a/base").text
    means = over_seeds(pd.DataFrame(rows), ["decoding", "level"], "accuracy")
    for row in means[means["model"] == RL.name].itertuples():
        assert f"{row.accuracy:.1%} ({row.low:.1%} to {row.high:.1%})" in text


def test_a_license_that_is_not_stated_is_not_claimed(folder):
    card = card_of(folder, "a/base")
    assert card.data.license is None and card.data.base_model == "a/base"
    assert "look it up" in card.text


def test_cards_of_datasets_name_the_splits_that_have_rows(tmp_path):
    for split, rows in {"train": 3, "test": 0}.items():
        pq.write_table(pa.Table.from_pylist([{}] * rows, PROBLEMS), tmp_path / f"{split}.parquet")
    facts = {"rows": 3, "levels": {"1": {}}, "overlap": {"other/test": {"problems": 2}}}
    (tmp_path / "dataset.json").write_text(json.dumps({"splits": {"train": facts}}))
    write_problems(tmp_path, Dataset(stage=2, levels=[1, 1], train=3, test=0), "string_task")
    card = DatasetCard.load(tmp_path / "README.md")
    assert card.data.configs[0]["data_files"] == [{"split": "train", "path": "train.parquet"}]
    assert card.data.size_categories == "n<1K" and "other/test (2)" in card.text
    selection = {"problems": {"total": 9}, "responses": {"total": 36, "kept": 5, "dropped": {"wrong": 30, "duplicate": 1}}}
    (tmp_path / "selection.json").write_text(json.dumps(selection))
    write_examples(tmp_path, "a/base", "a/base")
    card = DatasetCard.load(tmp_path / "README.md")
    assert card.data.license is None and "look it up" in card.text and "31" in card.text


class Hub(BaseHTTPRequestHandler):
    """The part of the hub's HTTP interface that an upload of small files uses; ``received``: what a commit holds."""

    received: dict = {}

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.headers["Authorization"] != "Bearer hf_right":
            return self.answer(403, {"error": "this token may not write"})
        if self.path == "/api/repos/create":
            self.received["repository"] = json.loads(body)
            return self.answer(200, {"url": f"http://{self.headers['Host']}/me/model"})
        if self.path == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        if "/preupload/" in self.path:
            files = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in json.loads(body)["files"]]
            return self.answer(200, {"files": files})
        entries = [json.loads(line) for line in body.splitlines()]
        files = [entry["value"] for entry in entries if entry["key"] == "file"]
        self.received["files"] = {file["path"]: base64.b64decode(file["content"]).decode() for file in files}
        self.answer(200, {"commitUrl": f"http://{self.headers['Host']}/me/model/commit/0", "commitOid": "0" * 40, "success": True})

    def do_GET(self):
        self.answer(200, {"type": "user", "name": "me", "id": "me/model", "sha": "0" * 40, "siblings": []})

    def answer(self, code: int, value: dict):
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("newer", ["metrics.jsonl", "train.parquet"])
def test_a_card_that_is_older_than_what_it_describes_is_not_uploaded(folder, monkeypatch, newer):
    """Training again, or making a dataset again, leaves the card of before."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "no-token"))
    card_of(folder, "a/base")
    (folder / newer).touch()
    for time, message in ((9e9, f"older than {newer}.*snakemake publish"), (0, "hf auth login")):
        os.utime(folder / newer, (time, time))
        with pytest.raises(UserError, match=message):
            push(folder, "me/model")


def test_a_folder_is_uploaded_with_its_card_and_without_its_subfolders(folder, monkeypatch):
    (folder / "tensorboard").mkdir()
    (folder / "tensorboard/events").write_text("x")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "no-token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    try:
        with pytest.raises(UserError, match="snakemake publish"):
            push(folder, "me/model")
        card_of(folder, "a/base")
        with pytest.raises(UserError, match="hf auth login"):
            push(folder, "me/model")
        monkeypatch.setenv("HF_TOKEN", "hf_wrong")
        with pytest.raises(UserError, match=r"^me/model: not uploaded: .*403"):
            push(folder, "me/model")
        monkeypatch.setenv("HF_TOKEN", "hf_right")
        assert push(folder, "me/model").endswith("/me/model")
    finally:
        server.shutdown()
        server.server_close()
    with pytest.raises(UserError, match=r"^me/model: not uploaded: .*network"):
        push(folder, "me/model")
    assert Hub.received["repository"]["visibility"] == "private"
    assert Hub.received["files"] == {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}
