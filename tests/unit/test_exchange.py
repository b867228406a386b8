"""Files for others, and back."""

import pyarrow.parquet as pq
import pytest
import rollout_rows
from test_reading import OWN, ROWS

from fofg.__main__ import main
from fofg.data.exchange import export_rows, import_rows
from fofg.data.files import write_parquet
from fofg.data.schemas import EXAMPLES, PROBLEMS, RFT
from fofg.errors import UserError


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
