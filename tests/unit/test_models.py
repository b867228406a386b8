"""The base model's folder: found, checked, linked, with a plain chat template."""

import json
import os
import shutil

import pytest
from tiny_model import END, START

from fofg import models
from fofg.errors import UserError
from fofg.models import model_files
from fofg.models.model_files import digest
from fofg.models.weights import relink

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
