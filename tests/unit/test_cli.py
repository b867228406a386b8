"""Arguments that programs share, and those of ``fofg``."""

import sys

import pytest
import yaml
from configs import DEFAULT

from fofg import cli, provenance
from fofg.__main__ import main
from fofg.config import load, merged, read


@pytest.fixture
def parse():
    parser = cli.parser("A program.")
    cli.add_files(parser, "--data", "NAME=FILE", "files")
    return lambda *texts: parser.parse_args(["--data", *texts]).data


def test_files_by_name_in_order(parse):
    assert list(parse("b=one.parquet", "a=runs/lr=1/two=2.parquet").items()) == [
        ("b", "one.parquet"),
        ("a", "runs/lr=1/two=2.parquet"),
    ]


def test_a_path_with_equals_signs_names_its_own_file(parse):
    assert parse("lr=1/own.parquet=lr=1/own.parquet") == {"lr=1/own.parquet": "lr=1/own.parquet"}


@pytest.mark.parametrize("texts", [["file"], ["=file"], ["name="], ["="], ["a=b", "a=c"]])
def test_unusable_arguments_are_refused(parse, texts, capsys):
    with pytest.raises(SystemExit):
        parse(*texts)
    assert "error: --data" in capsys.readouterr().err


@pytest.fixture
def fofg(monkeypatch, tmp_path, capsys):
    """Run ``fofg`` in a folder below a run."""
    (tmp_path / "results/below").mkdir(parents=True)
    (tmp_path / "results/config.json").write_text("{}")

    def run(*arguments: str) -> str:
        monkeypatch.chdir(tmp_path / "results/below")
        monkeypatch.setattr(sys, "argv", ["fofg", *arguments])
        main()
        return capsys.readouterr().out

    return run


def test_keys_become_an_overlay(fofg):
    pairs = [
        "stage1.sft.learning_rate=1e-4",
        "datasets.stage2_level1to2=null",
        "stage2.rl.curricula.level1to2=~",
        "passk.models=[base]",
    ]
    overlay = yaml.safe_load(fofg("set", *pairs))
    assert overlay["stage1"] == {"sft": {"learning_rate": 1e-4}} and overlay["datasets"] == {"stage2_level1to2": None}
    settings = load(merged(read([DEFAULT]), overlay))
    assert settings.passk.models == ["base"] and "level1to2" not in settings.stage2.rl.curricula


@pytest.mark.parametrize("pair", ["stage1.sft.epohcs=3", "stage1.sft.epochs=many", "stage1.sft.epochs", "=3", "a..b=1", "passk=[1"])
def test_unusable_keys_are_refused(fofg, pair):
    with pytest.raises(SystemExit, match=r"(?s)error: .*(no such key|valid integer|not KEY=VALUE)"):
        fofg("set", pair)


def test_files_are_found_from_a_folder_below_the_run(fofg, tmp_path):
    (tmp_path / "results/below/mine.yaml").write_text("figures: {dpi: 41}\n")
    (tmp_path / "top.yaml").write_text("figures: {font_size: 7}\n")
    figures = yaml.safe_load(fofg("config", "mine.yaml", "../../top.yaml"))["figures"]
    assert (figures["dpi"], figures["font_size"]) == (41, 7)


def test_the_folder_that_runs_were_started_in_comes_before_a_runs_own(tmp_path):
    """With ``run_dir: runs/x``, the configuration's paths are relative to the folder above."""
    (tmp_path / ".snakemake/fofg-runs").mkdir(parents=True)
    (tmp_path / "runs/x/results").mkdir(parents=True)
    (tmp_path / "runs/x/results/config.json").write_text("{}")
    assert provenance.enclosing_run(tmp_path / "runs/x/results") == str(tmp_path)


def test_a_name_is_no_path_where_a_folder_is_called_so(fofg, tmp_path):
    (tmp_path / "results/below/stage1-rft").mkdir()
    with pytest.raises(SystemExit, match="error: stage1-rft: no such file, and no model is evaluated"):
        fofg("show", "stage1-rft")


def test_any_character_reaches_the_overlay(fofg):
    template = "\U0001f600 {code} {input}"
    assert yaml.safe_load(fofg("set", f"problems.template={template!r}"))["problems"]["template"] == template
