"""Files that are missing, damaged, empty or others than they should be: one sentence with the file and the cure, and no output."""

import json
import os

import problem_sets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rollout_rows
import sft_runs
import tiny_model as tiny_models

from fofg.data import chunks, datasets, description, schemas
from fofg.data.files import write_parquet
from fofg.errors import UserError
from fofg.evaluation import accuracy, failures, pass_at_k, verdicts
from fofg.report.figures import accuracy_by_level
from fofg.rft.selection import select
from fofg.rollouts import shards
from fofg.rollouts.gather import gather
from fofg.specs import RolloutsSpec, SelectionSpec
from fofg.training import prompts

SHARD = RolloutsSpec(engine="e", dtype="auto", rollouts=rollout_rows.sampling())
SELECTION = SelectionSpec(selection=rollout_rows.selection(), answer_rule="published", template=None)


def tune(file, out):
    from fofg.training import sft

    model = tiny_models.make(out.parent / "model")
    sft.train(sft_runs.settings(), model, file, file, out, out.parent / "state", micro_batch_size=4, save_every=9, threads=1)


SHARDS = schemas.ROLLOUTS.with_metadata({schemas.ROLLOUTS_METADATA: json.dumps({"spec": SHARD.model_dump(), "model": ""})})
#: What reads a file -> the columns that it needs, and the call, with an output that must not appear.
READERS = {
    "chunk": (schemas.PROBLEMS, lambda file, out: chunks.write(out, file, 0, 2, 1, 1)),
    "description": (schemas.PROBLEMS, lambda file, out: description.describe({"d/train": file}, {"d": out}, disjoint=True)),
    "shard": (schemas.PROBLEMS, lambda file, out: shards.generate(SHARD, file, out.parent, out, out.parent / "state", 8)),
    "reinforcement learning": (schemas.PROBLEMS, lambda file, out: prompts.read(file, problem_sets.DEFAULT.scoring)),
    "selection": (schemas.ROLLOUTS, lambda file, out: select(SELECTION, file, out, out, out)),
    "verdicts": (schemas.ROLLOUTS, lambda file, out: verdicts.write_verdicts([file], out, "published")),
    "counts": (schemas.ROLLOUTS, lambda file, out: verdicts.write_counts([file], out, "published")),
    "failures": (schemas.ROLLOUTS, lambda file, out: failures.classify_file(file, out, (1, 1), "published")),
    "gathering": (SHARDS, lambda file, out: gather([file], 1, out)),
    "fine-tuning": (schemas.RFT, tune),
    "accuracy": (schemas.HELD_OUT_VERDICTS, lambda file, out: accuracy.summarize_evaluation(["base"], [file])),
    "pass@k": (schemas.PASSK_COUNTS, lambda file, out: pass_at_k.summarize(["base"], [file])),
    "shares of failures": (schemas.FAILURES, lambda file, out: failures.summarize(["base"], [file])),
    "a figure": (schemas.ACCURACY, lambda file, out: accuracy_by_level.plot(file)),
}


def rows_of(schema: pa.Schema) -> list[dict]:
    """Return rows that can be used."""
    spec = problem_sets.spec("stage1_level1", "train", 9, problem_sets.DEFAULT.problems)
    problems = [row for batch in datasets.batches(spec) for row in batch.to_pylist()]
    rollouts = {"responses": ["a", "b"], "finish_reasons": ["stop"] * 2, "token_counts": [1, 1], "response": "a"}
    return [{field.name: (row | rollouts).get(field.name) for field in schema} for row in problems]


def cut(content: bytes) -> bytes:
    return content[:-9]


def zeroed(content: bytes) -> bytes:
    """Return a file whose footer is whole, but no data."""
    footer = int.from_bytes(content[-8:-4], "little") + 8
    return content[:4] + bytes(len(content) - footer - 4) + content[-footer:]


DAMAGES = {"empty": lambda content: b"", "text": lambda content: b"rows", "cut": cut, "zeroed": zeroed}


OWN = pytest.mark.parametrize("own", [True, False], ids=["own", "made"])


@pytest.fixture
def assert_cure(tmp_path, monkeypatch):
    """Return a function that checks what reading a file in ``folder``, the user's own or a made one, gives."""

    def check(own, file, read, *arguments):
        monkeypatch.setenv(
            "FOFG_OWN_FILES", os.pathsep.join([str(tmp_path / "else"), *([str(tmp_path / "folder")] if own else [])])
        )
        with pytest.raises(UserError) as error:
            read(*arguments)
        cures = {True: "replace it with an undamaged one", False: "remove it and run again"}
        assert str(error.value).startswith(f"{file}: ") and "\n" not in str(error.value)
        assert cures[own] in str(error.value) and cures[not own] not in str(error.value)

    return check


@OWN
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_file_is_to_be_replaced_or_made_again(tmp_path, assert_cure, reader, damage, own):
    file, out = tmp_path / "folder/file.parquet", tmp_path / "out"
    schema, read = READERS[reader]
    write_parquet(file, schema, [rows_of(schema)])
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    assert_cure(own, file, read, file, out)
    assert not out.exists()


def lose_a_weight(folder):
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights.pop("model.norm.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def read_with_vllm(folder):
    from fofg.rollouts import vllm_engine

    vllm_engine._read(folder)


def train(folder):
    from fofg.training import modeling

    modeling.load(folder, 8)


@OWN
@pytest.mark.parametrize(
    ("damage", "read"),
    [
        (lambda folder: (folder / "model.safetensors").write_text("{"), train),
        (lose_a_weight, train),
        (lambda folder: (folder / "generation_config.json").write_text("{"), read_with_vllm),
    ],
    ids=["weights", "a weight missing", "settings"],
)
def test_a_damaged_model_is_to_be_replaced_or_made_again(tmp_path, assert_cure, damage, read, own):
    folder = tiny_models.make(tmp_path / "folder/model")
    damage(folder)
    assert_cure(own, folder, read, folder)


@pytest.mark.parametrize("reader", READERS)
def test_a_missing_file_and_one_of_other_columns_are_named(tmp_path, reader):
    file, out = tmp_path / "file.parquet", tmp_path / "out"
    with pytest.raises(UserError, match=rf"^{file}: no such file"):
        READERS[reader][1](file, out)
    pq.write_table(pa.table({"other": range(99)}), file)
    with pytest.raises(UserError, match=rf"^{file}: (no column '\w+'|needs the columns .+); it has other"):
        READERS[reader][1](file, out)
    assert not out.exists()


@pytest.mark.parametrize("reader", [reader for reader in READERS if reader != "gathering"])
def test_a_file_without_a_row_is_named(tmp_path, reader):
    file, out = tmp_path / "file.parquet", tmp_path / "out"
    schema, read = READERS[reader]
    write_parquet(file, schema, [])
    with pytest.raises(UserError, match=rf"^{file}: (has 0|no|holds no) "):
        read(file, out)
    assert not out.exists()
