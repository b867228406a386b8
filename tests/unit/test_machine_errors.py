"""Errors of the machine (space, permissions, kinds of files): one sentence with the path, and no partial files."""

import errno
import os
import re
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from fofg.data.files import replacing, write_json, write_parquet, writing
from fofg.errors import UserError, explain
from fofg.preflight import check_records

ROOT = Path(__file__).parents[2]
SCHEMA = pa.schema([("text", pa.string())])


@contextmanager
def little_space(limit: int):
    """Limit the size of files: writes fail as on a full disk, but with another error number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def parquet(path):
    write_parquet(path, SCHEMA, [[{"text": os.urandom(5000).hex()}]])


def json_file(path):
    write_json(path, ["long"] * 5000)


def figure(path):
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    with replacing(path) as temporary:
        plt.figure().savefig(temporary, format="svg")


def safetensors(path):
    import torch
    from safetensors.torch import save_file

    with replacing(path) as temporary:
        save_file({"weight": torch.zeros(5000)}, temporary)


def checkpoint(path):
    import torch

    with replacing(path) as temporary:
        torch.save({"weight": torch.zeros(5000)}, temporary)


@pytest.mark.parametrize("write", [parquet, json_file, figure, safetensors, checkpoint])
def test_a_failed_write_is_named_and_keeps_the_old_file(tmp_path, write):
    path = tmp_path / "folder" / "file"
    write(path)
    before = path.read_bytes()
    with pytest.raises(Exception) as error, little_space(1000):
        write(path)
    assert re.match(rf"{path}: (File too large|could not be written whole); ", explain(error.value))
    assert path.read_bytes() == before and os.listdir(path.parent) == ["file"]


def test_a_folder_that_takes_no_records_is_named(tmp_path):
    check_records(tmp_path / "run/.snakemake")
    assert os.listdir(tmp_path / "run/.snakemake") == []
    with pytest.raises(UserError, match=r"snakemake: File too large; .* --directory FOLDER"), little_space(1000):
        check_records(tmp_path / "run/.snakemake")
    assert os.listdir(tmp_path / "run/.snakemake") == []
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/.snakemake: Not a directory; "):
        check_records(tmp_path / "file/.snakemake")


def test_a_full_disk_is_named():
    with pytest.raises(OSError) as error, writing("results/a.json"), open("/dev/full", "w") as full:
        full.write("x" * 100_000)
    assert explain(error.value).startswith("results/a.json: No space left on device; free some space")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EDQUOT, errno.ENAMETOOLONG])
def test_other_errors_come_with_a_cure(number):
    assert explain(OSError(number, os.strerror(number), "a/b")).startswith(f"a/b: {os.strerror(number)}; ")


def test_a_full_disk_is_recognized_by_the_text_of_an_error():
    full = ValueError(f"write failed: {os.strerror(errno.ENOSPC)} (os error 28)")
    with pytest.raises(ValueError) as error, writing("results/a.json"):
        raise full
    assert explain(error.value).startswith("results/a.json: No space left on device; free some space")
    assert explain(ValueError(str(full))).startswith("No space left on device; free some space")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        OSError("no"),
        FileNotFoundError(2, "No such file or directory", "x"),
        KeyError(28),
        *(RuntimeError(f"{os.strerror(number)}: x") for number in (errno.EEXIST, errno.EACCES, errno.EISDIR, errno.ENOTDIR)),
        PermissionError(errno.EPERM, "Operation not permitted"),
        IsADirectoryError(errno.EISDIR, "Is a directory", "x"),
        FileExistsError(errno.EEXIST, "File exists", __file__, None, "x"),
        ValueError("unexpected pos"),
    ],
)
def test_bugs_keep_their_traceback(error):
    assert explain(error) is None


@pytest.mark.parametrize("message", [os.strerror(errno.EEXIST), "no"])
def test_bugs_while_writing_a_file_are_not_explained(tmp_path, message):
    with pytest.raises(ValueError, match=message) as error, replacing(tmp_path / "a"):
        raise ValueError(message)
    assert not hasattr(error.value, "filename") and explain(error.value) is None


@pytest.mark.parametrize("below", ["", "a", "a/b"])
def test_a_file_in_place_of_a_folder_is_named(tmp_path, below):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError) as error:
        (tmp_path / "file" / below).mkdir(parents=True, exist_ok=True)
    assert re.match(rf"{tmp_path}/file\S*: Not a directory; a file stands where a folder is needed", explain(error.value))


@pytest.mark.parametrize("trouble", ["full", "file in place of the folder"])
def test_a_program_reports_one_sentence(tmp_path, trouble):
    output = tmp_path / "out"
    output.mkdir() if trouble == "full" else output.write_text("a file")
    spec = '{"code":1,"model":"resources/tiny-base","plain_prompt":true}'
    done = subprocess.run(
        [sys.executable, "workflow/scripts/prepare_model.py", "--spec", spec, "--output", str(output)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))) if trouble == "full" else None,
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"error: {tmp_path}")
    assert not list(tmp_path.glob("**/.*.partial"))


def test_a_closed_pipe_is_no_error():
    done = subprocess.Popen([sys.executable, "-m", "fofg", "config"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    done.stdout.close()
    assert done.stderr.read() == b""
    done.stderr.close()
    assert done.wait() != 0
