"""Rows as verl reads them, with its own datasets, samplers, collators and loss."""

import numpy as np
import pyarrow as pa
import pytest
import rl_problems
import torch
from torch.utils.data import DistributedSampler
from torchdata.stateful_dataloader import StatefulDataLoader
from transformers import AutoModelForCausalLM, AutoTokenizer
from verl.trainer.ppo.utils import create_rl_dataset, create_rl_sampler
from verl.trainer.sft_trainer import create_sft_dataset
from verl.utils import tensordict_utils
from verl.utils.checkpoint import CheckpointHandler
from verl.utils.checkpoint.checkpoint_handler import OrchestrationMode
from verl.utils.dataset.dataset_utils import SFTTensorCollator
from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset
from verl.utils.dataset.rl_dataset import RLHFDataset
from verl.utils.torch_functional import logprobs_from_logits
from verl.workers.utils.losses import sft_loss
from verl_configs import composed, rl

from fofg.data.files import write_parquet
from fofg.data.messages import with_messages
from fofg.data.schemas import EXAMPLES, RFT
from fofg.training.conversations import IGNORED, conversation, encode
from fofg.training.verl import rows
from fofg.training.verl.sft import forget_data_position

pytestmark = pytest.mark.engines
BATCH = 4


@pytest.fixture(scope="module")
def tokenizer(tiny_model):
    return AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture(scope="module")
def examples(tokenizer):
    """Return conversations of different lengths, the longest truncated, as engine torch trains on them."""
    made = [conversation(rl_problems.example(index)) for index in range(10)]
    made[3][-1]["content"] += " because" * 9
    encoded = encode(tokenizer, made, 60, "truncate", "made")
    assert (encoded.truncated, len(encoded)) == (1, 10)
    return encoded


def data_set(path, tokenizer):
    values = {"data": {"custom_cls": {"path": "pkg://fofg.training.verl.rows", "name": "Tokens"}, "pad_mode": "no_padding"}}
    return create_sft_dataset(str(path), composed("sft_trainer_engine", values).data, tokenizer, None)


MODES = ("token-mean", "seq-mean-token-mean")


@pytest.fixture(params=MODES)
def mode(request):
    """Return how the loss is averaged."""
    return request.param


@pytest.fixture
def written(tmp_path, tokenizer, examples, mode):
    rows.write_tokens(tmp_path / "train.parquet", examples, 7, mode)
    return data_set(tmp_path / "train.parquet", tokenizer)


def pairs(encoded):
    return [(ids.tolist(), (labels != IGNORED).tolist()) for ids, labels in zip(encoded.input_ids, encoded.labels)]


def read(row):
    """Return the tokens of a row and its loss mask."""
    return row["input_ids"].tolist(), row["loss_mask"].bool().tolist()


def test_verl_reads_the_same_tokens_as_engine_torch_in_another_order(written, examples, mode):
    assert isinstance(written, rows.Tokens)
    found = [read(row) for row in map(written.__getitem__, range(len(written)))]
    assert found != pairs(examples) and sorted(found) == sorted(pairs(examples))
    for row in map(written.__getitem__, range(len(written))):
        assert row["position_ids"].tolist() == list(range(len(row["input_ids"])))
        assert row["input_ids"].dtype == row["position_ids"].dtype == torch.int64
        learned = int(row["loss_mask"].bool().sum())
        assert row["loss_mask"][0] == 0 and learned
        assert float(row["loss_mask"].sum()) == pytest.approx(learned if mode == "token-mean" else 1)


def test_verls_own_dataset_reads_rft_data_as_engine_torch_does(tmp_path, tokenizer):
    made = [rl_problems.example(index) for index in range(10)]
    made[3]["prompt"] += [{"role": "assistant", "content": "a"}, {"role": "user", "content": "b?"}]
    write_parquet(tmp_path / "rft.parquet", RFT, [with_messages(pa.RecordBatch.from_pylist(made, EXAMPLES))])
    data = composed("sft_trainer_engine", {"data": {"pad_mode": "no_padding", "max_length": 200}}).data
    stock = create_sft_dataset(str(tmp_path / "rft.parquet"), data, tokenizer, None)
    assert isinstance(stock, MultiTurnSFTDataset)
    ours = encode(tokenizer, map(conversation, made), 200, "error", "made")
    assert [read(stock[row]) for row in range(len(stock))] == pairs(ours)


def batch_of(written, numbers):
    """Return a batch as verl's trainer and engine build it."""
    collated = SFTTensorCollator("no_padding")([written[number] for number in numbers])
    made = tensordict_utils.get_tensordict(collated, {"pad_mode": "no_padding", "dp_size": 1})
    tensordict_utils.assign_non_tensor(made, batch_num_tokens=made["loss_mask"].sum().item())
    return made


def test_verls_sft_loss_averages_over_tokens_or_over_examples(written, tiny_model, mode):
    """Packed rows, as in verl's engine, against each row by itself."""
    network = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32, attn_implementation="sdpa").eval()
    made, losses = batch_of(written, range(BATCH)), []
    with torch.no_grad():
        packed = made["input_ids"].values()
        logits = network(packed[None], position_ids=made["position_ids"].values()[None], use_cache=False).logits[0]
        log_probs = logprobs_from_logits(logits, torch.roll(packed, -1))
        nested = torch.nested.nested_tensor_from_jagged(log_probs, made["input_ids"].offsets())
        loss, _ = sft_loss(None, {"log_probs": nested}, made)
        for number in range(BATCH):
            ids, learned = written[number]["input_ids"], written[number]["loss_mask"].bool()
            chosen = network(ids[None]).logits[0, :-1].log_softmax(-1).gather(1, ids[1:, None])[:, 0]
            losses.append((-chosen[learned[1:]]).tolist())
    by_token, by_example = np.mean(np.concatenate(losses)), np.mean([np.mean(own) for own in losses])
    assert abs(by_token - by_example) > 1e-3
    assert float(loss) == pytest.approx(float(by_token if mode == "token-mean" else by_example), rel=1e-5)


@pytest.mark.parametrize(("tests", "filled"), [(1, 4), (3, 4), (4, 4), (5, 8), (10, 12)])
def test_test_rows_are_repeated_to_fill_whole_batches(tmp_path, tokenizer, examples, tests, filled):
    some = type(examples)(examples.input_ids[:tests], examples.labels[:tests])
    rows.write_tests(tmp_path / "test.parquet", some, BATCH, "token-mean")
    made = data_set(tmp_path / "test.parquet", tokenizer)
    assert len(made) == filled
    found = [read(made[row]) for row in range(filled)]
    assert found == (pairs(some) * filled)[:filled]


PROBLEMS = [rl_problems.problem(index, 1 + index % 2) for index in (5, 3, 8, 1, 9, 0, 4)]


def problems_in(folder, tiny_model, tokenizer):
    folder.mkdir(exist_ok=True)
    rows.write_problems(folder / "t.parquet", PROBLEMS)
    data = rl(folder, tiny_model, {}).data
    made = create_rl_dataset(data.train_files, data, tokenizer, None)
    return made, create_rl_sampler(data, made)


@pytest.mark.parametrize("name", ["plain", "run 1=größe, 'x'"])
def test_verl_reads_problems_in_file_order(tmp_path, tiny_model, tokenizer, name):
    made, sampler = problems_in(tmp_path / name, tiny_model, tokenizer)
    assert isinstance(made, RLHFDataset) and list(sampler) == list(range(len(PROBLEMS)))
    for number, problem in enumerate(PROBLEMS):
        row, level = made[number], problem["extra_info"]["level"]
        assert row["raw_prompt"] == problem["prompt"] and row["index"] == problem["extra_info"]["index"]
        assert row["extra_info"] == problem["extra_info"] and row["reward_model"] == problem["reward_model"]
        assert row["data_source"] == f"string_task/level{level}"


def epochs_of(written, folder, start, stop):
    """Return the rows of steps ``start + 1`` ... ``stop``, two per epoch, read as verl's SFT trainer does.

    verl's own handler restores the data loader; the state after the last step is saved.
    """
    sampler = DistributedSampler(written, shuffle=True, num_replicas=1, rank=0, drop_last=True)
    collate = SFTTensorCollator("no_padding")
    loader = StatefulDataLoader(written, batch_size=BATCH, sampler=sampler, collate_fn=collate, num_workers=0, drop_last=True)
    handler = CheckpointHandler(engine=None, train_dataloader=loader, default_local_dir=str(folder), mode=OrchestrationMode.RAY)
    handler._load_dataloader_state(str(folder / f"global_step_{start}"))
    step, found, steps = start, [], len(loader)
    for epoch in range(start // steps, 3):
        sampler.set_epoch(epoch)
        for batch in loader:
            step += 1
            found.append([row.tolist() for row in batch["input_ids"]])
            if step == stop:
                (folder / f"global_step_{step}").mkdir(parents=True, exist_ok=True)
                torch.save(loader.state_dict(), folder / f"global_step_{step}" / "data_0.pt")
                return found
    return found


@pytest.mark.parametrize("stopped", [1, 2, 3, 4, 5])
def test_a_stopped_run_resumes_with_the_next_rows_also_at_the_end_of_an_epoch(written, tmp_path, stopped):
    whole = epochs_of(written, tmp_path / "whole", 0, 6)
    assert len(whole) == 6 and whole[:2] != whole[2:4]
    assert epochs_of(written, tmp_path, 0, stopped) == whole[:stopped]
    if stopped % 2 == 0:
        assert len(epochs_of(written, tmp_path, stopped, 6)) < 6 - stopped  # verl alone loses an epoch
        forget_data_position(tmp_path / f"global_step_{stopped}")
    assert epochs_of(written, tmp_path, stopped, 6) == whole[stopped:]
