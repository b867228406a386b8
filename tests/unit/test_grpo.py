"""Reinforcement learning: what it writes and records, what it computes, and what does not change its result."""

import json
import shutil
from statistics import fmean
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
import rl_problems
from rl_problems import HELD_OUT, VALIDATION, problem, spec
from training_runs import distance, without_seconds

from fofg import models
from fofg.data.files import write_parquet
from fofg.data.schemas import PROBLEMS
from fofg.errors import UserError
from fofg.tasks.rewards import compute_scores
from fofg.training import metrics

#: Phases of four and one updates.
STEPS = 5


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return rl_problems.make(tmp_path_factory.mktemp("rl"))


def files(world, wanted):
    names = sorted({name for phase in wanted.phases for name in phase.mixture})
    return {name: world / f"{name}.parquet" for name in names}


def run(world, output, wanted=None, model="model", data=None, **options):
    """Train in this process and return the records."""
    from fofg.training import grpo

    wanted = wanted or spec()
    options = {"micro_batch_size": 3, "batch_size": 128, "save_every": 1000, "threads": 1, **options}
    options = {
        "on_empty_step": "skip",
        "on_incomplete_step": "train",
        "validation": HELD_OUT,
        "validation_settings": VALIDATION,
    } | options
    state = output.parent / f"{output.name}-state"
    grpo.train(wanted, world / model, data or files(world, wanted), output=output, state=state, **options)
    return metrics.read(output / "metrics.jsonl")


@pytest.fixture(scope="module")
def trained(world):
    """Train the run that others are compared with; it keeps all rollouts."""
    return SimpleNamespace(folder=world / "trained", records=run(world, world / "trained", keep_rollouts=100))


# --- what a run gives ---


def test_files_of_a_run(world, trained):
    from transformers import AutoModelForCausalLM

    _, report = AutoModelForCausalLM.from_pretrained(trained.folder, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    assert distance(trained.folder, world / "model") > 1e-4
    assert json.loads((trained.folder / "spec.json").read_text()) == spec().model_dump(mode="json")
    assert json.loads((trained.folder / "validation.json").read_text()) == VALIDATION.model_dump(mode="json")
    assert not (trained.folder / "tensorboard").exists()  # no tracker unless asked for
    assert not (world / "trained-state").exists() and not list(world.glob(".trained*"))


def test_records_of_every_step(trained):
    first, *steps = trained.records
    held_out = {"validation_accuracy", "validation_accuracy_level1", "validation_accuracy_level2"}
    held_out.add("seconds_validation")
    assert first.keys() == {"step", "seconds"} | held_out
    assert [record["step"] for record in steps] == list(range(1, STEPS + 1))
    names = {"step", "phase", "loss", "learning_rate", "grad_norm", "reward", "accuracy", "response_length", "truncated", "prompts"}
    names |= {"groups", "groups_kept", "generation_batches", "limit_reached", "prompts_drawn", "clip_fraction", "entropy"}
    names |= {"tokens", "seconds", "seconds_generation", "seconds_scoring", "seconds_training"}
    for record in steps:
        levels = {"accuracy_level2"} | ({"accuracy_level1"} if record["phase"] == 1 else set())
        validated = held_out if record["step"] in (2, 4, 5) else set()
        assert record.keys() == names | levels | validated
        assert record["prompts"] == record["groups"] == 4 * record["generation_batches"]
        assert record["generation_batches"] <= 3 and 0 < record["groups_kept"] <= 4
        assert record["limit_reached"] == (record["groups_kept"] < 4)
        assert -1 <= record["reward"] <= record["accuracy"] <= 1 and 0 <= record["truncated"] < 1
        assert 0 < record["response_length"] <= 22 and record["entropy"] > 0 and record["grad_norm"] > 0
        assert record["learning_rate"] == 2e-3 and record["clip_fraction"] == 0
    assert [record["phase"] for record in steps] == [1, 1, 1, 2, 2]
    assert [record["prompts_drawn"] for record in steps[:3]] == cumulated(steps[:3])
    assert [record["prompts_drawn"] for record in steps[3:]] == cumulated(steps[3:])
    assert all(later["seconds"] >= earlier["seconds"] for earlier, later in zip(trained.records, steps))


def test_rollouts_are_kept_by_step(trained):
    """All those that a step drew, whose rewards are those that it recorded."""
    rows = pq.read_table(trained.folder / "rollouts.parquet").to_pylist()
    for record in trained.records[1:]:
        kept = [row for row in rows if row["step"] == record["step"]]
        assert len(kept) == record["groups"]
        responses = [
            (row, text, reason == "length") for row in kept for text, reason in zip(row["responses"], row["finish_reasons"])
        ]
        assert fmean(score["score"] for score in compute_scores(responses, spec().scoring)) == pytest.approx(record["reward"])
        assert fmean(count for row in kept for count in row["token_counts"]) == pytest.approx(record["response_length"])


def test_training_uses_the_tokens_that_were_sampled(world, trained, tmp_path):
    """With a tokenizer that has one token for ``output``, which the model spells: trained on the text, weights would differ."""
    shutil.copytree(world / "model", tmp_path / "model")
    path = tmp_path / "model/tokenizer.json"
    settings = json.loads(path.read_text())
    settings["model"]["vocab"]["output"] = settings["model"]["vocab"].pop("func_7")
    settings["pre_tokenizer"]["pattern"]["Regex"] = "output|" + settings["pre_tokenizer"]["pattern"]["Regex"]
    path.write_text(json.dumps(settings))
    tokenizer, letters = models.load_tokenizer(tmp_path / "model"), list('{"output": "a"}')
    spelled = tokenizer.convert_tokens_to_ids(letters)
    assert tokenizer.decode(spelled) == "".join(letters) and len(tokenizer("".join(letters))["input_ids"]) == len(letters) - 5
    records = run(world, tmp_path / "out", model=tmp_path / "model")
    assert without_seconds(records) == without_seconds(trained.records)
    assert distance(tmp_path / "out", trained.folder) == 0


def cumulated(records):
    return [sum(record["prompts"] for record in records[: place + 1]) for place in range(len(records))]


def test_accuracy_rises(world, tmp_path):
    """Random letters are right in a third of the answers."""
    shape = {"prompts_per_step": 8, "mini_batch_prompts": 8, "generation_prompts": 8, "rollouts": {"samples": 8}}
    wanted = spec([{"steps": 10, "mixture": {"one": 1}}], learning_rate=3e-3, **shape)
    records = [record["accuracy"] for record in run(world, tmp_path / "out", wanted)[1:]]
    assert sum(records[:2]) / 2 < 0.42 and sum(records[-2:]) / 2 > 0.55


@pytest.mark.parametrize("greedy", [False, True])
def test_validation_uses_the_weights_of_its_step(world, trained, tmp_path, greedy):
    """With fixed seeds, so that only the weights differ between steps."""
    from fofg.rollouts.engine import Request
    from fofg.rollouts.sampling import sample_seed
    from fofg.rollouts.transformers_engine import TransformersEngine

    rows = HELD_OUT
    requests = [Request(row["prompt"], (sample_seed(3, "validation", row["extra_info"]["index"], 0),)) for row in rows]
    settings, records = spec().rl.rollouts, trained.records
    if greedy:
        settings = settings.model_copy(update={"temperature": 0.0})
        records = run(world, tmp_path / "out", validation_settings=VALIDATION.model_copy(update={"greedy": True}))
    for folder, record in ((world / "model", records[0]), (trained.folder, records[-1])):
        right = [0] * len(rows)
        for number, _, sample in TransformersEngine(folder, settings, "float32").generate(requests):
            answer = json.dumps({"output": rl_problems.ANSWERS[rows[number]["extra_info"]["level"]]})
            right[number] = int(answer in sample.text and sample.finish_reason == "stop")
        assert record["validation_accuracy_level1"] == sum(right[:4]) / 4
        assert record["validation_accuracy_level2"] == sum(right[4:]) / 4
        assert record["validation_accuracy"] == sum(right) / 8


# --- what does not change the result ---


def test_threads_and_checkpoints_leave_the_result_alone(world, trained, tmp_path):
    records = run(world, tmp_path / "again", threads=2, save_every=1)
    assert distance(tmp_path / "again", trained.folder) == 0
    assert without_seconds(records) == without_seconds(trained.records)


@pytest.mark.parametrize("change", [{"every": 0}, {"every": 3}, {"greedy": True}], ids=str)
def test_validation_leaves_training_alone(world, trained, tmp_path, change):
    records = run(world, tmp_path / "other", validation_settings=VALIDATION.model_copy(update=change))
    assert distance(tmp_path / "other", trained.folder) == 0

    def training(records):
        kept = [{name: value for name, value in record.items() if "validation" not in name} for record in without_seconds(records)]
        return [record for record in kept if record["step"]]

    assert training(records) == training(trained.records)
    expected = {0: [], 2: [0, 2, 4, 5], 3: [0, 3, 5]}[change.get("every", 2)]
    assert [record["step"] for record in records if "validation_accuracy" in record] == expected


@pytest.mark.parametrize("change", [{"micro_batch_size": 1}, {"micro_batch_size": 64}, {"batch_size": 5}], ids=str)
def test_batch_sizes_change_no_more_than_rounding(world, trained, tmp_path, change):
    records = run(world, tmp_path / "other", **change)
    assert distance(tmp_path / "other", trained.folder) < 1e-4
    for one, other in zip(records[1:], trained.records[1:]):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-5)
        assert one["entropy"] == pytest.approx(other["entropy"], rel=1e-4)


CHANGES = [
    *({"seed": 2}, {"rollouts": {"seed": 4}}, {"rollouts": {"temperature": 0.9}}, {"rollouts": {"samples": 5}}),
    *({"learning_rate": 1e-3}, {"warmup_steps": 1}, {"weight_decay": 0.5}, {"max_grad_norm": 1e-3}, {"scale_rewards": "none"}),
    {"negative_weight": 0.5},
    *({"betas": (0.5, 0.999)}, {"betas": (0.9, 0.9)}, {"loss_agg_mode": "seq-mean-token-mean"}, {"kl_coef": 0.1}),
    *({"entropy_coef": 0.01}, {"prompts_per_step": 2, "mini_batch_prompts": 2}, {"mini_batch_prompts": 2}),
    *({"precision": "bfloat16"}, {"scheme": "binary"}),
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_every_setting_reaches_the_training(world, trained, tmp_path, change):
    wanted = spec([{"steps": 2, "mixture": {"one": 1, "two": 1}}], **change)
    plain = spec([{"steps": 2, "mixture": {"one": 1, "two": 1}}])
    if not (world / "plain").exists():
        run(world, world / "plain", plain, validation_settings=None)
    run(world, tmp_path / "other", wanted, validation_settings=None)
    assert distance(tmp_path / "other", world / "plain") > 0


# --- what a step computes ---


@pytest.fixture
def drawn(world):
    """Return a function that loads the policy and draws the groups of a step."""
    from fofg.rollouts.decoding import Decoder
    from fofg.training import modeling, prompts
    from fofg.training.groups import GroupSampler

    def draw(wanted):
        from contextlib import nullcontext

        policy, tokenizer = modeling.load(world / "model", 0), models.load_tokenizer(world / "model")
        sources = prompts.load(files(world, wanted), wanted.rl, wanted.scoring, tokenizer, 512)
        decoder = Decoder(policy.eval(), tokenizer, wanted.rl.rollouts, models.end_tokens(world / "model", tokenizer))
        sampler = GroupSampler(wanted.rl, wanted.phases, wanted.scoring, sources, decoder, nullcontext)
        return policy, sampler.draw(1, [])[0]

    return draw


def updated(policy, groups, config, size=3, updates=1, reference=None, optimizer=None):
    """Make the updates of a step, and return the metrics of each. By default with SGD of rate 1: weights move by the gradient."""
    import torch

    from fofg.training import batches, grpo
    from fofg.training.modeling import GradientWorkers

    workers = GradientWorkers(policy, 1, 16, size)
    half = len(groups) // updates
    cut = [grpo.rows_of(groups[half * number : half * (number + 1)], config) for number in range(updates)]
    mini_batches = [batches.micro_batches(rows, size, policy.device, grpo.WIDTHS, 512) for rows in cut]
    if updates > 1:
        grpo.add_log_probs("old", policy, mini_batches, workers, config, torch.float32)
    if reference is not None:
        grpo.add_log_probs("reference", reference, mini_batches, workers, config, torch.float32)
    rate = config.learning_rate if optimizer else 1.0
    optimizer = optimizer or torch.optim.SGD(policy.parameters(), lr=1.0)
    return [grpo.update(policy, optimizer, part, rate, workers, config, torch.float32, step=1) for part in mini_batches]


def loaded(folder):
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def far(reference):
    """Return a model with other weights, for KL to be measured from."""
    import torch

    torch.manual_seed(1)
    for weight in reference.parameters():
        weight.data += 0.05 * torch.randn_like(weight)
    return reference


def sequence_terms(model, reference, group, number, config, old=None):
    """Return for each token of a response, by definition: clipped loss, k3 estimate of KL, entropy, whether clipped, log-prob."""
    import torch

    rewards, response = torch.tensor(group.rewards), group.responses[number]
    ids, start = torch.tensor([group.prompt.tokens + response.tokens.tolist()]), len(group.prompt.tokens)
    temperature = config.rollouts.temperature
    scores = (model(input_ids=ids).logits[0, start - 1 : -1] / temperature).log_softmax(-1)
    with torch.no_grad():
        others = (reference(input_ids=ids).logits[0, start - 1 : -1] / temperature).log_softmax(-1)
    chosen, other = (each.gather(1, ids[0, start:, None])[:, 0] for each in (scores, others))
    advantage = (rewards[number] - rewards.mean()) / (rewards.std() + 1e-4)
    ratio = (chosen - (chosen.detach() if old is None else old)).exp()
    low, high = 1 - config.clip_low, 1 + config.clip_high
    policy = -torch.minimum(ratio * advantage, ratio.clamp(low, high) * advantage)
    clipped = ((ratio > high) & (advantage > 0)) | ((ratio < low) & (advantage < 0))
    kl = (other - chosen).exp() - (other - chosen) - 1
    return policy, kl, -(scores.exp() * scores).sum(-1), clipped.float(), chosen.detach()


@pytest.mark.parametrize("mode", ["token-mean", "seq-mean-token-mean"])
@pytest.mark.parametrize(("kl", "entropy", "size"), [(0.0, 0.0, 1), (0.0, 0.0, 64), (0.5, 0.0, 3), (0.0, 0.1, 3), (0.5, 0.1, 3)])
def test_gradients_of_an_update(world, drawn, mode, kl, entropy, size):
    """Compare with the loss terms by definition, sequence by sequence, without padding."""
    import torch

    wanted = spec(rollouts={"temperature": 0.8}, loss_agg_mode=mode, kl_coef=kl, entropy_coef=entropy, max_grad_norm=1e9)
    policy, groups = drawn(wanted)
    model, reference = loaded(world / "model"), far(loaded(world / "model"))
    terms = [sequence_terms(model, reference, group, number, wanted.rl)[:3] for group in groups for number in range(4)]
    assert len({len(loss) for loss, _, _ in terms}) > 1  # or both modes would be the same
    if mode == "token-mean":
        means = [torch.cat(values).mean() for values in zip(*terms)]
    else:
        means = [torch.stack([value.mean() for value in values]).mean() for values in zip(*terms)]
    (means[0] + kl * means[1] - entropy * means[2]).backward()
    (metrics,) = updated(policy, groups, wanted.rl, size, reference=reference if kl else None)
    for before, after in zip(model.parameters(), policy.parameters()):
        assert torch.allclose(before - after, before.grad, atol=2e-6, rtol=1e-4)
    expected = {"loss": means[0], "entropy": means[2], "clip_fraction": torch.tensor(0.0), **({"kl": means[1]} if kl else {})}
    assert metrics.keys() == {*expected, "grad_norm"}
    for name, mean in expected.items():
        assert metrics[name] == pytest.approx(mean.item(), rel=1e-4, abs=1e-6), name


def test_two_updates_per_step_are_clipped_and_use_adamw(world, drawn):
    import torch

    wanted = spec(mini_batch_prompts=2, learning_rate=1e-2, clip_low=0.01, clip_high=0.03)
    policy, groups = drawn(wanted)
    assert len(groups) == 4
    model = loaded(world / "model")
    terms = [[sequence_terms(model, model, group, number, wanted.rl)[4] for number in range(4)] for group in groups]
    optimizer, clipped = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0), []
    for half in (0, 2):
        pairs = [(group, number) for group in range(half, half + 2) for number in range(4)]
        values = [sequence_terms(model, model, groups[group], number, wanted.rl, terms[group][number]) for group, number in pairs]
        torch.cat([value[0] for value in values]).mean().backward()
        clipped.append(float(torch.cat([value[3] for value in values]).mean()))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    metrics = updated(policy, groups, wanted.rl, updates=2, optimizer=torch.optim.AdamW(policy.parameters(), weight_decay=0.0))
    assert [each["clip_fraction"] for each in metrics] == pytest.approx(clipped, abs=1e-3)
    assert clipped[0] == 0 < clipped[1]
    assert all(torch.allclose(ours, by_hand, atol=1e-4) for ours, by_hand in zip(policy.parameters(), model.parameters()))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_kl_reference_is_the_initial_model(world, tmp_path, precision):
    """In either precision, also after a kill."""
    wanted = spec([{"steps": 3, "mixture": {"one": 1, "two": 1}}], kl_coef=1.0, precision=precision)
    whole = run(world, tmp_path / "whole", wanted, validation_settings=None)
    assert whole[0]["kl"] == 0 and whole[1]["kl"] > 1e-6
    records = killed_and_resumed(world, tmp_path / "out", wanted, validation_settings=None)
    assert distance(tmp_path / "out", tmp_path / "whole") == 0
    assert without_seconds(records) == without_seconds(whole)


def test_without_filter_every_group_is_trained_on(world, drawn, tmp_path):
    """One batch of prompts_per_step groups; equal rewards give no gradient, but count in the mean."""
    settings = {"filter_groups": False, "prompts_per_step": 6, "mini_batch_prompts": 6, "generation_prompts": 2}
    wanted = spec([{"steps": 2, "mixture": {"one": 1, "unsolvable": 1}}], scheme="binary", **settings)
    records = run(world, tmp_path / "out", wanted, validation_settings=None)
    for number, record in enumerate(records, 1):
        counts = [record[name] for name in ("prompts", "groups", "groups_kept", "generation_batches", "prompts_drawn")]
        assert counts == [6, 6, 6, 1, 6 * number] and record["limit_reached"] is False
    _, groups = drawn(wanted)
    equal = [group for group in groups if len(set(group.rewards)) == 1]
    assert 0 < len(equal) < 6 == len(groups)


def test_groups_with_equal_rewards_are_dropped(drawn):
    _, groups = drawn(spec())
    seen = set()
    for group in groups:
        assert len(set(group.rewards)) > 1
        for response, reward, correct in zip(group.responses, group.rewards, group.correct):
            assert correct == (reward == 1.0)
            if response.finish_reason == "length":
                assert len(response.tokens) == 22 and reward == -1.0
            seen.add(reward)
    assert {0.0, 1.0} <= seen


def test_repeated_problems_get_other_responses(drawn):
    wanted = spec([{"steps": 9, "mixture": {"one": 1}}], prompts_per_step=30, mini_batch_prompts=30, max_generation_batches=6)
    _, groups = drawn(wanted)
    texts = {}
    for group in groups:
        texts.setdefault(group.prompt.index, []).append(tuple(tuple(response.tokens.tolist()) for response in group.responses))
    again = [found for found in texts.values() if len(found) > 1]
    assert again and all(len(set(found)) == len(found) for found in again)


def test_learning_rate_warms_up_by_updates(world, tmp_path):
    """Two updates a step; the step's record has the rate of its last."""
    wanted = spec(mini_batch_prompts=2, warmup_steps=3, learning_rate=4e-4)
    records = run(world, tmp_path / "out", wanted, validation_settings=None)
    updates, expected = 0, []
    for record in records:
        updates += -(-record["groups_kept"] // 2)
        expected.append(4e-4 * min(1, updates / 4))
    assert [record["learning_rate"] for record in records] == pytest.approx(expected)
    assert expected[0] < expected[-1] == 4e-4


# --- steps without groups, and short ones ---


NEVER = {"steps": 1, "mixture": {"unsolvable": 1}}


def test_a_step_without_groups_leaves_weights_and_optimizer_alone(world, tmp_path):
    """All rewards are 0 in the binary scheme. The next step is that of a run without it."""
    some = {"steps": 2, "mixture": {"one": 1}}
    settings = {"scheme": "binary", "weight_decay": 0.1}
    run(world, tmp_path / "without", spec([some], **settings), validation_settings=None)
    records = run(world, tmp_path / "with", spec([some, NEVER], **settings), validation_settings=None)
    assert distance(tmp_path / "with", tmp_path / "without") == 0
    empty = records[-1]
    assert (empty["groups"], empty["groups_kept"], empty["generation_batches"], empty["limit_reached"]) == (12, 0, 3, True)
    assert empty["reward"] == 0 and not {"loss", "learning_rate", "grad_norm", "entropy", "clip_fraction"} & empty.keys()


def test_a_step_with_too_few_groups_trains_on_them(world, tmp_path):
    wanted = spec([{"steps": 1, "mixture": {"two": 1, "unsolvable": 3}}], scheme="binary", max_generation_batches=2)
    (record,) = run(world, tmp_path / "out", wanted, save_every=1)[1:]
    assert 0 < record["groups_kept"] < 4 and record["limit_reached"] and "loss" in record
    assert distance(tmp_path / "out", world / "model") > 0


def test_steps_without_enough_groups_may_be_errors(world, tmp_path):
    """The run resumes from there once such steps are allowed."""
    with pytest.raises(UserError, match=r"step 1: .*max_generation_batches or generation_prompts.*on_empty_step: skip"):
        run(world, tmp_path / "out", spec([NEVER], scheme="binary"), on_empty_step="error")
    phases = [{"steps": 1, "mixture": {"one": 1}}, {"steps": 1, "mixture": {"two": 1, "unsolvable": 3}}]
    wanted = spec(phases, scheme="binary")
    with pytest.raises(UserError, match=r"step 2: .*prompts_per_step \(4\).*on_incomplete_step: train"):
        run(world, tmp_path / "out", wanted, save_every=1, on_incomplete_step="error")
    assert not (tmp_path / "out" / "model.safetensors").exists()
    _, full, short = run(world, tmp_path / "out", wanted, save_every=1, on_incomplete_step="train")
    assert full["groups_kept"] == 4 and 0 < short["groups_kept"] < 4


# --- resuming after a kill ---


def killed_and_resumed(world, output, wanted, last=None, **options):
    """Train without writing the final files, delete the last checkpoint, resume, and return the records."""
    partial = output.with_name(f".{output.name}.partial")
    partial.write_text("in the way of the final files")
    with pytest.raises(FileExistsError):
        run(world, output, wanted, save_every=1, **options)
    partial.unlink()
    _, newest = sorted(output.parent.glob(f"{output.name}-state/*/checkpoint-*.pt"))
    newest.unlink()
    return run(world, output, wanted, **(options if last is None else last))


@pytest.mark.parametrize("steps", [(2, 3), (4, 1)], ids=["within a phase", "between phases"])
def test_a_killed_run_resumes_to_the_same_model(world, tmp_path, capsys, steps):
    """From the checkpoint of step 4, also with other settings of the validation."""
    wanted = spec([{**phase, "steps": number} for phase, number in zip(rl_problems.PHASES, steps)])
    whole = run(world, tmp_path / "whole", wanted, keep_rollouts=1)
    last = {"keep_rollouts": 1}
    records = killed_and_resumed(world, tmp_path / "out", wanted, last, validation_settings=None, keep_rollouts=1)
    assert "resuming after step 4" in capsys.readouterr().err
    assert distance(tmp_path / "out", tmp_path / "whole") == 0
    resumed, uninterrupted = (pq.read_table(tmp_path / name / "rollouts.parquet") for name in ("out", "whole"))
    assert resumed == uninterrupted and resumed["step"].to_pylist() == [1, 2, 3, 4, 5]
    assert [record["reward"] for record in records] == [record["reward"] for record in whole[1:]]


# --- unusable input ---


def test_files_are_those_of_the_mixtures(world, tmp_path):
    spec_of_one = spec([{"steps": 1, "mixture": {"one": 1}}])
    for names, message in (
        (["two"], r"--data: no file for one, which a mixture of stage2.rl.curricula names"),
        (["one", "two"], r"--data: no mixture names two"),
    ):
        with pytest.raises(UserError, match=message):
            run(world, tmp_path / "out", spec_of_one, data={name: world / f"{name}.parquet" for name in names})
    assert not (tmp_path / "out").exists()


def test_without_validation(world, tmp_path):
    """Nor does the record of an earlier run's validation stay."""
    wanted = spec([{"steps": 1, "mixture": {"one": 1}}])
    run(world, tmp_path / "out", wanted)
    assert (tmp_path / "out" / "validation.json").exists()
    run(world, tmp_path / "out", wanted, validation=[], validation_settings=None)
    assert not (tmp_path / "out" / "validation.json").exists()
    (record,) = metrics.read(tmp_path / "out" / "metrics.jsonl")
    assert record["step"] == 1 and "validation_accuracy" not in record


def test_long_prompts(world, tmp_path, capsys):
    mixed = [problem(index, 1 + index % 2) for index in range(8)]  # a prompt of Level 2 has a token more
    write_parquet(tmp_path / "mixed.parquet", PROBLEMS, [mixed])
    phases = [{"steps": 1, "mixture": {"mixed": 1}}]
    data = {"mixed": tmp_path / "mixed.parquet"}
    short = {"max_prompt_tokens": 20}
    with pytest.raises(UserError, match=r"problem 1: the prompt has 21 tokens, more than .*max_prompt_tokens \(20\)"):
        run(world, tmp_path / "out", spec(phases, rollouts=short), data=data, validation_settings=None)
    skipping = spec(phases, rollouts={**short, "long_prompts": "skip"})
    (record,) = run(world, tmp_path / "out", skipping, data=data, validation_settings=None)
    assert "accuracy_level1" in record and "accuracy_level2" not in record
    assert "4 of 8 prompts don't fit and are skipped" in capsys.readouterr().err
    nothing = spec(phases, rollouts={"max_prompt_tokens": 5, "long_prompts": "skip"})
    with pytest.raises(UserError, match=r"mixed\.parquet: no prompt fits; raise stage2.rl.rollouts.max_prompt_tokens \(5\)"):
        run(world, tmp_path / "out", nothing, data=data, validation_settings=None)


@pytest.mark.parametrize(
    ("prompts", "rate", "message"),
    [(1, 1e30, r"stage2.rl.learning_rate: the loss is not finite at step \d; lower it"), (4, 1e39, "logits are not finite")],
)
def test_divergence_is_an_error(world, tmp_path, prompts, rate, message):
    """Found by the next update of the step; or, on-policy, by the next step's rollouts, whose rewards would all be equal."""
    with pytest.raises(UserError, match=message):
        run(world, tmp_path / "out", spec(learning_rate=rate, mini_batch_prompts=prompts))
    assert not (tmp_path / "out" / "model.safetensors").exists()
