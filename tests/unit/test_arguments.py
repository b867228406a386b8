"""Mistakes about the configuration on Snakemake's command line: one sentence before anything starts."""

import pytest

from fofg.arguments import check


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["all", "--configfile", "mine.yaml", "--config", "seed=1", "a={b: 1}"], None),
        (["--configfile", "mine.yaml", "all"], "all: No such file or directory; targets stand before --configfile"),
        (["--configfile=missing.yaml"], "missing.yaml: No such file or directory"),
        (["--configfile", "mine.yaml", "empty.yaml", "-n"], "empty.yaml: no keys; write KEY: VALUE, or leave the file out"),
        (["--configfile", "broken.yaml"], "broken.yaml: line 2: not YAML"),
        (["--config", "stage1.sft.epochs=3"], "fofg set 'stage1.sft.epochs=3' > mine.yaml"),
        (["-C", "a=1", "all"], "all is not of the form KEY=VALUE; targets stand before --config"),
    ],
)
def test_a_mistake_is_one_sentence(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in {"mine": "{}", "empty": "# stage1:\n", "broken": "a: [\n"}.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    if message is None:
        return check(arguments)
    with pytest.raises(SystemExit) as ended:
        check(arguments)
    assert str(ended.value).startswith("error: ") and message in str(ended.value)
