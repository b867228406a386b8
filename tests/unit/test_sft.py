"""Fine-tuning: what it writes, what it computes, and what does not change its result."""

import json
import math
import shutil
from statistics import fmean
from types import SimpleNamespace

import pytest
import sft_runs
from sft_runs import example, run, settings
from training_runs import distance, weights, without_seconds

from fofg.errors import UserError
from fofg.training import batches, metrics
from fofg.training.trackers import tracking


@pytest.fixture(scope="module")
def data(tmp_path_factory, tiny_model):
    return sft_runs.make(tmp_path_factory.mktemp("sft"), tiny_model)


@pytest.fixture(scope="module")
def trained(data):
    """Train the run that others are compared with."""
    return SimpleNamespace(folder=data / "trained", records=run(data, data / "trained", trackers=["tensorboard"]))


def save_weights(tensors, folder):
    from safetensors.torch import save_file

    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_run_writes_a_trained_model_and_removes_its_state(data, trained):
    from transformers import AutoModelForCausalLM

    _, report = AutoModelForCausalLM.from_pretrained(trained.folder, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    assert distance(trained.folder, data / "base") > 1e-3
    for name in ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (trained.folder / name).read_bytes() == (data / "base" / name).read_bytes()
    assert json.loads((trained.folder / "spec.json").read_text()) == settings().model_dump(mode="json")
    assert not (data / "trained-state").exists() and not list(data.glob(".trained*"))


def test_every_step_is_recorded_also_for_tensorboard(trained):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    first, *steps = trained.records
    assert first.keys() == {"step", "epoch", "tokens", "seconds", "test_loss"}
    assert [record["step"] for record in steps] == list(range(1, 7))
    assert [record["epoch"] for record in steps] == pytest.approx([step / 3 for step in range(1, 7)])
    assert steps[-1]["tokens"] == 2 * steps[2]["tokens"] > 0
    assert all({"loss", "learning_rate", "grad_norm", "seconds"} <= record.keys() for record in steps)
    shares = [0, *(0.5 + 0.5 * math.cos(math.pi * step / 5) for step in range(5))]  # one step of warm-up, then the cosine
    assert [record["learning_rate"] for record in steps] == pytest.approx([5e-3 * share for share in shares])
    assert first["test_loss"] > 1.05 * steps[-1]["test_loss"]
    assert all(math.isfinite(value) for record in trained.records for value in record.values())
    events = EventAccumulator(str(trained.folder / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("train/loss")] == list(range(1, 7))
    assert [event.value for event in events.Scalars("train/loss")] == pytest.approx([record["loss"] for record in steps])


def test_a_resumed_run_has_each_step_once_in_tensorboard(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for done, steps in ((None, (1, 2, 3, 4)), (2, (3, 4, 5))):
        with tracking(["tensorboard"], tmp_path, tmp_path, {}, done) as log:
            for step in steps:
                log({"step": step, "loss": 1.0 / step})
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3, 4, 5]


def token_losses(model, tokenizer, row):
    """Return the loss of each learned token of an example, by definition."""
    import torch

    messages = [*example(row)["prompt"], {"role": "assistant", "content": example(row)["response"]}]
    ids, learned = [], []
    for message in messages:  # the template puts "<|start|>", the role, a newline, the text, and "<|end|>"
        head = tokenizer(f"<|start|>{message['role']}\n", add_special_tokens=False)["input_ids"]
        body = tokenizer(f"{message['content']}<|end|>", add_special_tokens=False)["input_ids"]
        ids += head + body
        learned += [False] * len(head) + [message["role"] == "assistant"] * len(body)
    scores = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    return [-scores[at - 1, ids[at]] for at in range(1, len(ids)) if learned[at]]


@pytest.fixture(scope="module")
def per_example(data):
    """Train with the mean of the examples' means as the loss."""
    return SimpleNamespace(
        records=run(data, data / "per_example", settings(loss_agg_mode="seq-mean-token-mean"), micro_batch_size=3)
    )


def test_the_loss_is_the_mean_over_tokens_or_over_examples(data, trained, per_example):
    """For the first step, and for the test examples before it."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(data / "base"), AutoTokenizer.from_pretrained(data / "base")
    for rows, name, record in ((batches.steps(20, 8, 2, 1, "keep")[0], "loss", 1), (range(20, 25), "test_loss", 0)):
        losses = [[loss.item() for loss in token_losses(model, tokenizer, row)] for row in rows]
        by_token = fmean(loss for row in losses for loss in row)
        by_example = fmean(map(fmean, losses))
        assert abs(by_token - by_example) > 1e-3
        assert trained.records[record][name] == pytest.approx(by_token, rel=1e-5)
        assert per_example.records[record][name] == pytest.approx(by_example, rel=1e-5)


def test_updates_are_adamw_on_that_loss(data, tmp_path):
    """Against a plain loop over single examples."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    changes = {"betas": (0.6, 0.9), "loss_agg_mode": "seq-mean-token-mean", "last_batch": "merge", "learning_rate": 1e-3}
    run(data, tmp_path / "out", settings(schedule="constant", warmup_ratio=0.0, **changes))
    model, tokenizer = AutoModelForCausalLM.from_pretrained(data / "base"), AutoTokenizer.from_pretrained(data / "base")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.6, 0.9), weight_decay=0.0)
    for step in batches.steps(20, 8, 2, 1, "merge"):
        for row in step:
            (torch.stack(token_losses(model, tokenizer, row)).mean() / len(step)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    trained = weights(tmp_path / "out")
    names = dict(model.named_parameters())
    assert max(float((trained[name] - value.detach()).abs().max()) for name, value in names.items() if name in trained) < 1e-4


def test_threads_and_checkpoints_leave_the_result_alone(data, trained, tmp_path):
    records = run(data, tmp_path / "two", threads=2, save_every=1)
    assert distance(tmp_path / "two", trained.folder) == 0
    assert without_seconds(records) == without_seconds(trained.records)
    run(data, tmp_path / "thinned", log_every=3)
    assert distance(tmp_path / "thinned", trained.folder) == 0


@pytest.mark.parametrize("size", [1, 64])
def test_micro_batches_change_no_more_than_rounding(data, trained, tmp_path, size):
    records = run(data, tmp_path / "other", micro_batch_size=size)
    assert distance(tmp_path / "other", trained.folder) < 1e-4
    for one, other in zip(records[1:], trained.records[1:]):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)


CHANGES = [
    *({"seed": 2}, {"learning_rate": 1e-3}, {"epochs": 1}, {"batch_size": 7}, {"schedule": "constant"}, {"schedule": "linear"}),
    *({"warmup_ratio": 0.5}, {"weight_decay": 0.5}, {"max_grad_norm": 0.05}, {"betas": (0.9, 0.95)}, {"betas": (0.5, 0.999)}),
    *({"loss_agg_mode": "seq-mean-token-mean"}, {"last_batch": "merge"}, {"last_batch": "drop"}, {"precision": "bfloat16"}),
    *({"too_long": "truncate", "max_length": 40}, {"too_long": "skip", "max_length": 40}),
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_every_setting_reaches_the_training(data, trained, tmp_path, change):
    run(data, tmp_path / "other", settings(**change))
    assert distance(tmp_path / "other", trained.folder) > 0


def test_weights_are_stored_as_the_base_models(data, tmp_path):
    import torch

    base = tmp_path / "base"
    shutil.copytree(data / "base", base)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "dtype": "bfloat16"}))
    run(data, tmp_path / "other", settings(epochs=1), model=base)
    assert {tensor.dtype for tensor in weights(tmp_path / "other").values()} == {torch.bfloat16}


def test_an_earlier_model_is_replaced(data, tmp_path):
    output = tmp_path / "other"
    output.mkdir()
    (output / "model-00001-of-00002.safetensors").write_bytes(b"old")
    (output / "model.safetensors.index.json").write_text("{}")
    run(data, output, settings(epochs=1))
    assert [path.name for path in output.glob("model*")] == ["model.safetensors"]


def test_unusable_input_is_named(data, tmp_path):
    with pytest.raises(UserError, match=r"train\.parquet: row 1 has 52 tokens.*max_length: 30"):
        run(data, tmp_path / "a", settings(max_length=30))
    with pytest.raises(UserError, match=r"empty\.parquet: no example"):
        run(data, tmp_path / "b", train="empty.parquet")
    with pytest.raises(UserError, match=r"missing\.parquet: no such file"):
        run(data, tmp_path / "c", train="missing.parquet")
    with pytest.raises(UserError, match=r"model\.safetensors: no such file"):
        shutil.copytree(data / "base", tmp_path / "base")
        (tmp_path / "base" / "model.safetensors").unlink()
        run(data, tmp_path / "d", model=tmp_path / "base")
    assert not (tmp_path / "a").exists() and not (tmp_path / "d").exists()


def test_an_empty_training_file_can_keep_the_model(data, tmp_path, capsys):
    import torch

    base, output = tmp_path / "base", tmp_path / "other"
    shutil.copytree(data / "base", base)
    narrow = {name: tensor.to(torch.bfloat16) for name, tensor in weights(base).items()}
    config = json.loads((base / "config.json").read_text())
    save_weights(narrow, base)
    (base / "config.json").write_text(json.dumps({**config, "dtype": "bfloat16"}))
    run(data, output, settings(epochs=1))  # its files are replaced
    records = run(data, output, train="empty.parquet", test="empty.parquet", model=base, allow_empty=True)
    assert distance(output, base) == 0 and {tensor.dtype for tensor in weights(output).values()} == {torch.bfloat16}
    assert (output / "tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes()
    assert [record["step"] for record in records] == [0] and not (output / "tensorboard").exists()
    assert "empty.parquet: no example to train on" in capsys.readouterr().err
    assert not (tmp_path / "other-state").exists()


def test_examples_longer_than_the_models_positions_are_an_error(data, tmp_path):
    base = tmp_path / "base"
    shutil.copytree(data / "base", base)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 32}))
    with pytest.raises(UserError, match=r"max_length: the longest example has \d+ tokens, but the model holds 32"):
        run(data, tmp_path / "other", model=base)


def test_divergence_is_an_error(data, tmp_path):
    with pytest.raises(UserError, match="learning_rate: the loss is not finite at step"):
        run(data, tmp_path / "other", settings(learning_rate=1e30, epochs=20, warmup_ratio=0.0))
    assert not (tmp_path / "other" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("last_batch", "rows", "expected"),
    [
        ("keep", 20, [8, 8, 4]),
        ("merge", 20, [8, 12]),
        ("merge", 17, [8, 9]),
        ("merge", 5, [5]),
        ("drop", 20, [8, 8]),
        ("drop", 5, []),
        *((last_batch, 16, [8, 8]) for last_batch in ("keep", "merge", "drop")),
        *((last_batch, 0, []) for last_batch in ("keep", "merge", "drop")),
    ],
)
def test_batch_sizes_of_an_epoch(last_batch, rows, expected):
    assert batches.sizes(rows, 8, last_batch) == expected
    plan = batches.steps(rows, 8, 3, 1, last_batch)
    assert [len(step) for step in plan] == 3 * expected
    for epoch in range(3):
        seen = [row for step in plan[epoch * len(expected) : (epoch + 1) * len(expected)] for row in step]
        assert len(set(seen)) == len(seen) == sum(expected) and set(seen) <= set(range(rows))


def test_the_order_of_rows_depends_on_epoch_and_seed():
    plan = batches.steps(20, 8, 3, 1, "keep")
    assert plan[0] != plan[3] and plan != batches.steps(20, 8, 3, 2, "keep")
    assert plan == batches.steps(20, 8, 3, 1, "keep")
    flat = [row for step in plan for row in step]
    assert [row for step in batches.steps(20, 8, 3, 1, "merge") for row in step] == flat  # the same order, other cuts
    assert plan[3] not in batches.steps(20, 8, 3, 1, "drop")[:2]


def test_thinned_records_average_the_loss():
    records = [{"step": 0, "test_loss": 9.0}, *({"step": step, "loss": float(step), "tokens": 10 * step} for step in range(1, 8))]
    records[4]["test_loss"] = 5.0
    assert metrics.thin(records, 1) == records
    assert metrics.thin(records, 3) == [
        {"step": 0, "test_loss": 9.0},
        {"step": 3, "loss": 2.0, "tokens": 30},
        {"step": 4, "loss": 4.0, "tokens": 40, "test_loss": 5.0},
        {"step": 6, "loss": 5.5, "tokens": 60},
        {"step": 7, "loss": 7.0, "tokens": 70},
    ]
