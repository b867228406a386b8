"""The base model's folder: found, checked, linked, with a plain chat template."""

import json
import os
import shutil
import struct

import pytest
from tiny_model import END, START

from fofg import model_files, models
from fofg.errors import UserError
from fofg.model_files import digest
from fofg.weights import relink

#: A default system text, and answers trimmed.
TEMPLATE = """{% if messages[0].role != 'system' %}<|start|>system\nBe Qwen.<|end|>{% endif %}
{%- for m in messages %}{{ '<|start|>' + m.role + '\n' + m.content | trim + '<|end|>' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|start|>assistant\n' }}{% endif %}"""


def flip_a_bit(folder):
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-3] ^= 1
    (folder / "model.safetensors").write_bytes(weights)


@pytest.fixture
def base(tiny_model, tmp_path):
    """Copy the model, to be changed."""
    return shutil.copytree(tiny_model, tmp_path / "base")


def test_a_prepared_folder_has_the_logits_of_the_model(base, tmp_path):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    (base / "chat_template.jinja").write_text(TEMPLATE)
    models.prepare(str(base), tmp_path / "out", plain_prompt=True)
    assert (tmp_path / "out" / "model.safetensors").is_symlink()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    ids = tokenizer.apply_chat_template([{"role": "user", "content": "Hi?"}], add_generation_prompt=True, return_tensors="pt")[
        "input_ids"
    ]
    assert "Qwen" not in tokenizer.decode(ids[0])
    logits = [AutoModelForCausalLM.from_pretrained(folder)(ids).logits for folder in (base, tmp_path / "out")]
    assert torch.equal(*logits)
    source = json.loads((tmp_path / "out" / "source.json").read_text())
    assert source["spec"] == {"plain_prompt": True, "code": 0} and source["digest"]


def move_end_token(folder, token):
    """Let another token end generation than the one that ends a turn, as base models with a chat template do."""
    from transformers import AutoTokenizer

    number = AutoTokenizer.from_pretrained(folder).convert_tokens_to_ids(token)
    for name, key, value in [
        ("config.json", "eos_token_id", number),
        ("generation_config.json", "eos_token_id", number),
        ("tokenizer_config.json", "eos_token", token),
    ]:
        settings = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(settings | {key: value}))
    return number


def test_the_end_of_a_turn_ends_generation(base, tmp_path, capsys):
    from transformers import AutoTokenizer, GenerationConfig

    models.prepare(str(base), tmp_path / "out", plain_prompt=True)
    assert (base / "generation_config.json").read_bytes() == (tmp_path / "out" / "generation_config.json").read_bytes()
    assert capsys.readouterr().err == ""
    other = move_end_token(base, START)
    models.prepare(str(base), tmp_path / "out", plain_prompt=True)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    end = tokenizer.convert_tokens_to_ids(END)
    assert GenerationConfig.from_pretrained(tmp_path / "out").eos_token_id == [other, end]
    assert models.end_tokens(tmp_path / "out", tokenizer) == sorted([other, end])
    assert f"{END} ends an answer" in capsys.readouterr().err


def test_the_source_record_changes_with_any_file(base, tmp_path):
    (base / "chat_template.jinja").write_text(TEMPLATE)

    def record():
        models.prepare(str(base), tmp_path / "out", plain_prompt=False)
        return (tmp_path / "out" / "source.json").read_text()

    first = record()
    assert record() == first
    flip_a_bit(base)
    second = record()
    assert second != first
    (base / "chat_template.jinja").write_text(TEMPLATE + "{# mine #}")
    assert record() not in (first, second)


def test_the_source_record_does_not_depend_on_the_folder(tiny_model, tmp_path):
    shutil.copytree(tiny_model, tmp_path / "moved")
    models.prepare(str(tiny_model), tmp_path / "a", plain_prompt=True)
    models.prepare(str(tmp_path / "moved"), tmp_path / "b", plain_prompt=True)
    records = [(tmp_path / name / "source.json").read_bytes() for name in "ab"]
    assert records[0] == records[1]


def test_only_the_same_weights_are_linked_again_after_a_move(base, tmp_path):
    models.prepare(str(base), tmp_path / "out", plain_prompt=True)
    weights, link = (base / "model.safetensors").read_bytes(), tmp_path / "out/model.safetensors"
    base.rename(tmp_path / "moved")
    (tmp_path / "moved/model.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    relink(tmp_path / "moved", tmp_path / "out")
    assert not link.exists()
    (tmp_path / "moved/model.safetensors").write_bytes(weights)
    relink(tmp_path / "nowhere", tmp_path / "out")
    relink(tmp_path / "moved", tmp_path / "out")
    assert link.is_symlink() and link.read_bytes() == weights


def test_a_copied_model_is_linked_although_the_old_one_exists(tiny_model, tmp_path):
    old, copy = (shutil.copytree(tiny_model, tmp_path / name) for name in ("old", "copy"))
    models.prepare(str(old), tmp_path / "out", plain_prompt=True)
    weights, link = (old / "model.safetensors").read_bytes(), tmp_path / "out/model.safetensors"
    relink(copy, tmp_path / "out")
    other = weights[:-1] + bytes([weights[-1] ^ 1])
    (old / "model.safetensors").write_bytes(other)
    assert link.resolve() == (copy / "model.safetensors").resolve() and link.read_bytes() == weights
    relink(old, tmp_path / "out")
    assert link.read_bytes() == weights, "linked to another model"


def test_digests_are_cached_by_size_and_time(base, tiny_model, tmp_path):
    cache = tmp_path / "digests.json"
    first = digest(base, cache)
    assert first == digest(base) == digest(base, cache) == digest(tiny_model)
    kept = cache.read_text()
    cache.write_text(kept.replace(next(iter(json.loads(kept).values())), "0"))
    assert digest(base, cache) != first, "kept digests are not used"
    os.utime(next(base.glob("*.json")), (1, 1))
    cache.write_text(kept)
    assert digest(base, cache) == first
    flip_a_bit(base)
    assert digest(base, cache) != first


def test_a_template_in_the_tokenizer_configuration_is_replaced(base, tmp_path):
    (base / "chat_template.jinja").unlink()
    settings = json.loads((base / "tokenizer_config.json").read_text())
    (base / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": TEMPLATE}))
    models.prepare(str(base), tmp_path / "out", plain_prompt=True)
    assert "chat_template" not in json.loads((tmp_path / "out" / "tokenizer_config.json").read_text())
    assert "Qwen" not in (tmp_path / "out" / "chat_template.jinja").read_text()


def test_preparing_again_replaces_old_files(tiny_model, tmp_path):
    models.prepare(str(tiny_model), tmp_path / "out", plain_prompt=True)
    (tmp_path / "out" / "model-00001-of-00002.safetensors").write_bytes(b"old")
    before = (tiny_model / "model.safetensors").read_bytes()
    models.prepare(str(tiny_model), tmp_path / "out", plain_prompt=True)
    assert [path.name for path in model_files.weight_files(tmp_path / "out")] == ["model.safetensors"]
    assert (tiny_model / "model.safetensors").read_bytes() == before


def test_links_are_relative_inside_the_working_folder(tiny_model, tmp_path, monkeypatch):
    shutil.copytree(tiny_model, tmp_path / "run" / "base")
    monkeypatch.chdir(tmp_path / "run")
    models.prepare("base", "checkpoints/base", plain_prompt=True)
    (tmp_path / "run").rename(tmp_path / "moved")
    assert (tmp_path / "moved" / "checkpoints" / "base" / "model.safetensors").exists()


def in_shards(tiny_model, folder):
    """Copy the model with its weights in several files and an index."""
    from transformers import AutoModelForCausalLM

    shutil.copytree(tiny_model, folder, ignore=shutil.ignore_patterns("model.safetensors"))
    AutoModelForCausalLM.from_pretrained(tiny_model).save_pretrained(folder, max_shard_size="50KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    return folder


def weights(folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder).state_dict()


def equal(one, other):
    return one.keys() == other.keys() and all(one[name].equal(other[name]) for name in one)


def test_a_sharded_model_can_be_prepared_loaded_and_saved(tiny_model, tmp_path):
    from fofg.training import modeling

    base = in_shards(tiny_model, tmp_path / "base")
    models.prepare(str(base), tmp_path / "out", plain_prompt=True)
    assert all(path.is_symlink() for path in (tmp_path / "out").glob("model-*.safetensors"))
    models.check(tmp_path / "out")
    assert equal(weights(tmp_path / "out"), weights(tiny_model))
    for folder in (tmp_path / "out", base):
        modeling.save(modeling.load(folder, max_length=8), folder, tmp_path / "trained", [], {})
        assert equal(weights(tmp_path / "trained"), weights(tiny_model))
    sizes = [[path.stat().st_size for path in model_files.used_weights(folder)] for folder in (base, tmp_path / "trained")]
    assert len(sizes[1]) in (len(sizes[0]), len(sizes[0]) + 1) and max(sizes[1]) < 2 * max(sizes[0])
    modeling.save(modeling.load(base, max_length=8), base, tmp_path / "trained", [], {}, one_file=True)
    assert [path.name for path in model_files.weight_files(tmp_path / "trained")] == ["model.safetensors"]


def test_a_missing_shard_or_a_damaged_index_is_named(tiny_model, tmp_path):
    base = in_shards(tiny_model, tmp_path / "base")
    next(base.glob("model-00002*")).unlink()
    with pytest.raises(UserError, match="model-00002"):
        models.prepare(str(base), tmp_path / "out", plain_prompt=True)
    (base / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(UserError, match=r"index\.json: not an index of weights"):
        models.prepare(str(base), tmp_path / "out", plain_prompt=True)


@pytest.mark.parametrize("shards", [False, True], ids=["one file", "shards"])
def test_weights_in_pytorchs_format_are_converted(tiny_model, tmp_path, shards):
    import torch

    base = tmp_path / "base"
    shutil.copytree(tiny_model, base, ignore=shutil.ignore_patterns("model.safetensors"))
    parts = list(weights(tiny_model).items())
    if shards:
        files = {"pytorch_model-00001-of-00002.bin": parts[:3], "pytorch_model-00002-of-00002.bin": parts[3:]}
        index = {"metadata": {}, "weight_map": {name: file for file, part in files.items() for name, _ in part}}
        (base / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    else:
        files = {"pytorch_model.bin": parts}
    for file, part in files.items():
        torch.save(dict(part), base / file)
    before = digest(base)
    models.prepare(str(base), tmp_path / "out", plain_prompt=True)
    models.check(tmp_path / "out")
    assert equal(weights(tmp_path / "out"), weights(tiny_model))
    (base / file).write_bytes((base / file).read_bytes()[:-100])
    assert digest(base) != before
    with pytest.raises(UserError, match=r"\.bin: damaged weights"):
        models.prepare(str(base), tmp_path / "out", plain_prompt=True)


def shorten_vocabulary(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 100}))


def shorten_weights(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def rewrite(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def remove(pattern):
    return lambda folder: [path.unlink() for path in folder.glob(pattern)]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shorten_weights, "model.safetensors: damaged"),
        (rewrite("model.safetensors", struct.pack("<Q", 10**15) + b"{}"), "model.safetensors: damaged"),
        (remove("model.safetensors"), "model.safetensors: no such file"),
        (remove("config.json"), "config.json"),
        (rewrite("config.json", b"[]"), "config.json"),
        (remove("tokenizer*"), "no readable tokenizer"),
        (rewrite("tokenizer.json", b'{"version": '), "no readable tokenizer"),
        (shorten_vocabulary, "vocab_size: 100"),
        (remove("chat_template.jinja"), "no chat template; use an instruct model"),
    ],
)
def test_unusable_models_are_refused_at_once(base, tmp_path, damage, message):
    damage(base)
    with pytest.raises(UserError, match=message):
        models.prepare(str(base), tmp_path / "out", plain_prompt=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["./nowhere/model", "/nowhere"])
def test_a_missing_folder_is_named(name):
    with pytest.raises(UserError, match=f"base_model: no folder {name}"):
        models.find(name)


def test_an_unreachable_hub_is_named(monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def fail(*arguments, **others):
        raise LocalEntryNotFoundError("Cannot find the requested files in the disk cache")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(UserError, match=r"base_model: no folder some/model.*your connection.*base_model: FOLDER"):
        models.find("some/model")
