"""Files for others, and back."""

import shutil

import pyarrow.parquet as pq
import pytest
import rollout_rows
from test_reading import OWN, ROWS

from fofg.__main__ import main
from fofg.data.exchange import export_rows, import_rows
from fofg.data.files import write_parquet
from fofg.data.schemas import EXAMPLES, PROBLEMS, RFT, ROLLOUTS
from fofg.errors import UserError
from fofg.evaluation.verdicts import write_counts
from fofg.rft.selection import select
from fofg.specs import SelectionSpec


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Put back what ``main`` sets."""
    for name in ("FOFG_TASK", "FOFG_DATA_SOURCE"):
        monkeypatch.setenv(name, "")


def test_problems_come_back_from_the_public_form(tmp_path, monkeypatch):
    own, public, back = (str(tmp_path / f"{name}.parquet") for name in ("own", "public", "back"))
    pq.write_table(OWN, own)
    for command in (["export", own, public, "--as", "public"], ["import", public, back]):
        monkeypatch.setattr("sys.argv", ["fofg", *command])
        main()
    row = pq.read_table(public).to_pylist()[-1]
    assert row["data_source"] == "codeio-forward-incomplete-depth8" and row["extra_info"].keys() == {"index", "split", "depth"}
    for mine, theirs in zip(ROWS, pq.read_table(back).to_pylist(), strict=True):
        assert {**mine, "data_source": None, "reward_model": None} == {**theirs, "data_source": None, "reward_model": None}
    assert pq.read_schema(back).equals(PROBLEMS)


def test_problems_are_numbered_and_examples_get_messages(tmp_path):
    rows = [rollout_rows.problem(7), rollout_rows.problem(7)]
    write_parquet(tmp_path / "rows.parquet", PROBLEMS, [rows])
    assert import_rows(tmp_path / "rows.parquet", tmp_path / "out.parquet") == 2
    assert [row["extra_info"]["index"] for row in pq.read_table(tmp_path / "out.parquet").to_pylist()] == [0, 1]
    talk = [*rows[0]["prompt"], {"role": "assistant", "content": "r"}]
    write_parquet(tmp_path / "examples.parquet", EXAMPLES, [[rows[0] | {"response": "r"}]])
    for form, expected in (
        ("verl", {"completion": talk[1:], "messages": talk, "extra_info": rows[0]["extra_info"]}),
        ("messages", {"messages": talk}),
        ("public", {"prompt": "q", "response": "r"}),
    ):
        export_rows(tmp_path / "examples.parquet", tmp_path / "out.parquet", form)
        assert pq.read_table(tmp_path / "out.parquet").to_pylist()[0].items() >= expected.items()
    write_parquet(tmp_path / "examples.parquet", RFT, [[rows[0] | {"prompt": talk, "response": "r"}]])
    with pytest.raises(UserError, match="row 0: a prompt of several messages is no text"):
        export_rows(tmp_path / "examples.parquet", tmp_path / "out.parquet", "public")


def test_rollouts_are_selected_alike_in_the_public_form(tmp_path):
    """Which has no finish reasons and token counts, and gives all rows one number."""
    answers = ['{"output": "aa"}', None, '{"output": "c"}', '{"output": "aa"}.']
    program = {"expression": "func_1(x, 2)", "output": "aa"}
    rows = [rollout_rows.rollout(index, [*answers[: index + 1], *"???"[index:]], **program) for index in range(4)]
    paths = [tmp_path / f"{name}.parquet" for name in ("own", "public", "back")]
    write_parquet(paths[0], ROLLOUTS, [rows])
    assert export_rows(paths[0], tmp_path / "talks.parquet", "messages") == 4 * 4 - 3  # null responses are no turns
    assert export_rows(paths[0], paths[1], "public") == 4
    public = pq.read_table(paths[1])
    assert not {"finish_reasons", "token_counts"} & {*public.column_names}
    pq.write_table(public.drop_columns(["extra_info"]), paths[1])
    import_rows(paths[1], paths[2])
    first, *_, last = pq.read_table(paths[2]).to_pylist()
    assert (first["finish_reasons"], last["token_counts"], last["extra_info"]["index"]) == (["stop"] * 4, [None] * 4, 3)
    assert pq.read_schema(paths[2]).equals(ROLLOUTS)
    outputs = [tmp_path / name for name in ("train.parquet", "test.parquet", "selection.json")]
    spec = SelectionSpec(selection=rollout_rows.selection(), answer_rule="published", template="{code} {input}")
    kept = []
    for path in paths:
        select(spec, path, *outputs)
        kept.append([(row["prompt"], row["response"]) for row in pq.read_table(outputs[0]).to_pylist()])
        write_counts([path], tmp_path / "counts.parquet", "published")
        kept.append(pq.read_table(tmp_path / "counts.parquet")["correct"].to_pylist())
    assert kept[:2] * 3 == kept and len(kept[0]) == 5
    with pytest.raises(UserError, match=r"problems 0 to 3: a response has no token count, which max_tokens .* needs"):
        select(spec.model_copy(update={"selection": rollout_rows.selection(max_tokens=9)}), paths[1], *outputs)


def test_outputs_of_a_run_are_exported_by_name(tmp_path, monkeypatch, capsys):
    data = tmp_path / "data/string_task/stage2_level2"
    rows = [rollout_rows.problem(0, data_source="lab/strings")]
    for name in ("train", "test", "rollout"):
        write_parquet(data / f"{name}.parquet", PROBLEMS, [rows])
    config = ["--config", f"run_dir={tmp_path}", "problems={data_source: lab/strings}"]
    for source, written in (("stage2_level2", ["/train.parquet", "/test.parquet"]), ("stage2_level2/rollout", [""])):
        monkeypatch.setattr("sys.argv", ["fofg", "export", source, str(tmp_path / "out"), "--as", "public", *config])
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        main()
        for name in written:
            (row,) = pq.read_table(f"{tmp_path}/out{name}").to_pylist()
            assert row["data_source"] == "codeio-forward-incomplete-depth1"
    monkeypatch.setattr("sys.argv", ["fofg", "export", "stage2_level3", str(tmp_path / "out"), "--as", "public", *config])
    with pytest.raises(SystemExit, match=r"stage2_level3: .* make it first, or correct the name; there are stage2_level2"):
        main()
