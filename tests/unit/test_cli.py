"""Arguments that programs share."""

import pytest

from fofg import cli


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
