"""``fofg show``: which responses it chooses, what it says of them, and that any text is harmless."""

import io
import json

import pyarrow.parquet as pq
import pytest
import rollout_rows
from hostile_texts import SHAPES, text_of
from hypothesis import assume, given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from test_failures import CHAIN, DOUBLED, KEPT_A, REVERSED, VOWELS, line, problems, response, rollout

from fofg.__main__ import main
from fofg.data.files import write_parquet
from fofg.data.schemas import EXAMPLES, ROLLOUTS
from fofg.errors import UserError
from fofg.evaluation.samples import Choice, choose, find
from fofg.report.samples import HEAD, TAIL, cut, harmless, show
from fofg.tasks import task as tasks
from fofg.tasks.strings.explanation import explain
from fofg.tasks.strings.expressions import Step, parse, steps
from fofg.tasks.strings.failures_alignment import Solution
from fofg.tasks.task import Problem
from fofg.training import kept

TABLE = Solution(parse(CHAIN), "table")
RIGHT, SLIP = response([VOWELS, REVERSED, DOUBLED], "llbbtt"), response([VOWELS, 'func_17("tbl") -> "ltb"'], "ltb")


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Put back what ``main`` sets; a terminal of 80 columns."""
    for name in ("FOFG_TASK", "FOFG_DATA_SOURCE"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("FOFG_TASK", "string_task")
    monkeypatch.setenv("COLUMNS", "80")


def printed(samples, sources=("model",), **console) -> str:
    file = io.StringIO()
    show(samples, sources, Console(file=file, width=80, highlight=False, **console))
    return file.getvalue()


# --- the first wrong step ---------------------------------------------------------------------------------------------


@given(problems, st.data())
def test_the_first_wrong_step_is_found(problem, data):
    """In the true trace there is none, whatever a step's result is changed to, or which step is added."""
    solution, trace = Solution(problem.expression, problem.input), steps(problem.expression, problem.input)
    found = explain(solution, response(map(line, trace), problem.output))
    assert (found.line, found.answer, found.expected) == (None, json.dumps(problem.output), json.dumps(problem.output))
    assert len(found.trace) == len(trace)
    number = data.draw(st.integers(0, len(trace) - 1))
    assume(trace[number].operator != "+" and trace.index(trace[number]) == number)
    slip = trace[number]._replace(output=trace[number].output + "~")
    found = explain(solution, response(map(line, [*trace[:number], slip, *trace[number + 1 :]]), "~"))
    assert found.line == number and found.remark.endswith(f"is {json.dumps(trace[number].output)}")
    extra = Step("func_13", ("~", "|"), "~")
    found = explain(solution, response(map(line, [*trace[:number], extra, *trace[number:]]), "~"))
    assert found.line == number and found.remark == 'not a step of this problem: func_13("~", "|")'


@pytest.mark.parametrize(
    ("text", "number", "remark"),
    [
        (response([KEPT_A, REVERSED], "lbt"), 0, 'func_2("table") is "tbl"'),
        (response([VOWELS, REVERSED, DOUBLED], "lbt"), 3, "no wrong step found, but the answer is another of their strings"),
        (response([VOWELS, REVERSED], "lbt"), 2, "no wrong step found, but steps are missing"),
        ("Let's see.\n" + response([], "tbl"), 1, "solves only a part of the problem"),
        ("\n\nfunc_2('table') gives 'tbl'. Then func_17('tbl')\ngives 'ltb'", 2, 'func_17("tbl") is "lbt"'),
        (response(['**func_2**(`"table"`) → `"tabl"`'], "tabl"), 0, 'func_2("table") is "tbl"'),
        (
            response(['func_2("tabl") -> "tbl"', REVERSED, DOUBLED], "x"),
            0,
            "an operand is neither in the problem nor the result of a step",
        ),
        ("nothing", None, ""),
    ],
)
def test_lines_and_remarks(text, number, remark):
    found = explain(TABLE, text)
    assert (found.line, found.remark) == (number, remark)


def test_a_response_cut_at_the_limit_has_no_answer():
    assert explain(TABLE, SLIP).answer == '"ltb"'
    assert explain(TABLE, SLIP, truncated=True).answer is None


def test_countdown_answers_have_a_value():
    task, problem = tasks.get("countdown"), Problem("25", "19, 44", "", 2, "")
    for answer, remark in (
        ("44 - 19", ""),
        ("44 + 19", "its value is 63"),
        ("19 / 44", "its value is 19/44"),
        ("44 / (19 - 19)", "not the integers of the problem"),
        ("fortyfour", "no expression of integers, + - * / and brackets"),
    ):
        found = task.explain(problem, f"Well.\n<answer>{answer}</answer>")
        assert (found.answer, found.remark, found.line) == (answer, remark, 1 if remark else None)
    assert task.explain(Problem("1", "0, 3", "", 2, ""), "<answer>3 / 0</answer>").remark == "a division by zero"


# --- the choice -------------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    """Two models' rollouts, the second on fewer problems, in another order."""
    other = {"expression": "func_17(func_14(x))", "output": "eellbbaatt"}
    first = [rollout(7, [RIGHT, SLIP, RIGHT]), rollout(9, [RIGHT], **other), rollout(8, [RIGHT], level=2)]
    second = [rollout(3, [RIGHT], expression="func_17(x)", output="elbat"), rollout(7, [SLIP])]
    paths = [tmp_path / "results/evaluation" / name / "held-out/sampled/rollouts.parquet" for name in ("one", "two")]
    for path, rows in zip(paths, (first, second)):
        write_parquet(path, ROLLOUTS, [rows])
    return list(map(str, paths))


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (Choice(9), [(7, "response 0"), (9, "response 0")]),
        (Choice(1), [(7, "response 0")]),
        (Choice(9, level=2), [(8, "response 0")]),
        (Choice(9, failure="incomplete_trace"), [(7, "response 1")]),
        (Choice(9, problem=7), [(7, "response 0"), (7, "response 1"), (7, "response 2")]),
        (Choice(2, problem=7, failure="correct"), [(7, "response 0"), (7, "response 2")]),
    ],
)
def test_responses_that_fit(files, choice, expected):
    """One per problem: 7 and 8 are the same one."""
    found = choose(files[0], choice, "published")
    assert [(sample.number, sample.responses[0].name) for sample in found] == expected


def test_two_models_on_the_same_problems(files):
    found = choose(files[0], Choice(9), "published", against=files[1])
    pairs = [[response and response.failure for response in sample.responses] for sample in found]
    assert pairs[0][0] == "correct" and pairs[0][1] not in (None, "correct") and pairs[1][1] is None
    text = printed(found, ("one", "two"))
    assert text.index("one: response 0, correct") < text.index("two: response 0, wrong") and "two: no such problem" in text
    with pytest.raises(UserError, match="none of these problems is in it"):
        choose(files[0], Choice(9, problem=9), "published", against=files[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["on"], r"on: no such file, and no such model under .*; there are one, two; did you mean one\?"),
        (["one", "--class", "atomic"], r"--class: task string_task has no class 'atomic'; it has correct, atomic_error, "),
        (["one", "--level", "5"], r"no response to a problem of level 5; there are problems 7 to 9, levels 2, 3"),
        (["one", "--problem", "4"], r"no response to problem 4; there are problems 7 to 9"),
        (["one", "--class", "unreadable"], r"no response to a problem has class unreadable; there are 3 correct, 1 "),
        (["one", "--against", "one"], r"--against: .* is the same file"),
    ],
)
def test_errors_name_what_there_is(files, tmp_path, monkeypatch, arguments, message):
    monkeypatch.setattr("sys.argv", ["fofg", "show", *arguments, "--config", f"run_dir={tmp_path}"])
    with pytest.raises(SystemExit, match=message):
        main()


def test_a_model_of_the_run_is_shown(files, tmp_path, monkeypatch, capsys):
    arguments = ["one", "--problem", "7", "--class", "incomplete_trace", "--against", "two"]
    monkeypatch.setattr("sys.argv", ["fofg", "show", *arguments, "--config", f"run_dir={tmp_path}"])
    main()
    text = capsys.readouterr().out
    for expected in (
        "-- problem 7, level 3 --",
        '  func_14("lbt") -> "llbbtt"\nright answer: "llbbtt"',
        "one: response 1, wrong, incomplete_trace, finish reason stop, 1 tokens",
        '\n> func_17("tbl") -> "ltb"\n  {"output": "ltb"}\nanswer: "ltb"\nfirst wrong step, line 2: func_17("tbl") is "lbt"\n',
        "\ntwo: response 0, wrong",
    ):
        assert expected in text
    assert "\x1b" not in text


def test_models_are_found_by_name_and_kind_of_evaluation(files, tmp_path):
    folder = tmp_path / "results/evaluation"
    write_parquet(folder / "three/hidden/rollouts.parquet", ROLLOUTS, [[rollout(0, [RIGHT])]])
    assert find("one", str(tmp_path)) == files[0]
    assert find("one/held-out", str(tmp_path)) == files[0]  # a split has the same folders, named after its dataset
    assert find("three/hidden", str(tmp_path)) == str(folder / "three/hidden/rollouts.parquet")
    assert find(files[1], "elsewhere") == files[1]
    with pytest.raises(UserError, match="three: not evaluated on held-out problems; there are three/hidden"):
        find("three", str(tmp_path))
    with pytest.raises(UserError, match="no model is evaluated under elsewhere/results/evaluation; run target evaluate"):
        find("one", "elsewhere")


def test_rollouts_kept_by_step_are_shown(tmp_path, monkeypatch, capsys):
    """A step that was repeated after a kill counts once; a line that the kill cut off does not."""
    state, file = tmp_path / "state/kept.jsonl", tmp_path / "checkpoints/string-task/stage2-rl-mine/rollouts.parquet"
    kept.keep(state, 1, [rollout(7, [RIGHT])])
    kept.keep(state, 2, [rollout(7, [RIGHT])])
    with open(state, "a") as lines:
        lines.write('{"step": 3, "rows"')
    kept.keep(state, 2, [rollout(7, [SLIP, RIGHT])])
    kept.write(state, file)
    assert pq.read_table(file)["step"].to_pylist() == [1, 2]
    arguments = ["stage2-rl-mine", "--config", f"run_dir={tmp_path}", "--step"]
    monkeypatch.setattr("sys.argv", ["fofg", "show", *arguments, "2"])
    main()
    assert "stage2-rl-mine: step 2, response 0, wrong, incomplete_trace" in capsys.readouterr().out
    kept.write(state, tmp_path / "seed1/checkpoints/string-task/stage2-rl-mine/rollouts.parquet")
    monkeypatch.setattr("sys.argv", ["fofg", "show", "seed1/stage2-rl-mine", *arguments[1:], "1"])
    main()
    assert "step 1, response 0, correct" in capsys.readouterr().out
    for step, name, message in ((3, "mine", "in step 3; there are problems 7 to 7, levels 3, steps 1 to 2"), (1, "x", "-rl-mine")):
        monkeypatch.setattr("sys.argv", ["fofg", "show", f"stage2-rl-{name}", *arguments[1:], str(step)])
        with pytest.raises(SystemExit, match=message):
            main()


def test_training_examples_are_shown_and_those_without_ground_truth(tmp_path):
    row = rollout_rows.problem(7, x="table", expression=CHAIN, output="llbbtt") | {"response": RIGHT}
    write_parquet(tmp_path / "train.parquet", EXAMPLES, [[row, row | {"response": SLIP}]])
    (sample,) = choose(str(tmp_path / "train.parquet"), Choice(5), "published")
    assert (sample.responses[0].name, sample.responses[0].failure) == ("row 0", "correct")
    talk = [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Hello."}]
    (tmp_path / "others.jsonl").write_text(json.dumps({"messages": talk}))
    text = printed(choose(str(tmp_path / "others.jsonl"), Choice(5), "published"))
    assert "prompt (user)\n  Hello?\n" in text and "no verdict: the row has no ground truth" in text


def test_a_task_without_explanations_shows_what_there_is(tmp_path, monkeypatch):
    monkeypatch.setenv("FOFG_TASK", "toy_task:Even")
    truth = {"style": "rule", "ground_truth": json.dumps({"word": "a", "level": 1})}
    row = rollout_rows.rollout(0, ["abc"], data_source="even", reward_model=truth)
    write_parquet(tmp_path / "even.parquet", ROLLOUTS, [[row]])
    text = printed(choose(str(tmp_path / "even.parquet"), Choice(5, failure="odd"), "published"))
    assert "model: response 0, wrong, odd, finish reason stop, 1 tokens\n  abc\n" in text


# --- any text -----------------------------------------------------------------------------------------------------------


def shown(tmp_path, text: str, **console) -> str:
    write_parquet(tmp_path / "r.parquet", ROLLOUTS, [[rollout(0, [text])]])
    return printed(choose(str(tmp_path / "r.parquet"), Choice(1), "published"), **console)


@pytest.mark.parametrize("shape", sorted(SHAPES.keys() - {"lone surrogates"}))
def test_huge_responses_are_short_to_read(tmp_path, shape):
    text = shown(tmp_path, text_of(shape, 50_000))
    assert len(text) < 20_000 and "characters left out" in text
    assert all(row.isprintable() and cell_len(row) <= 80 for row in text.split("\n"))


HOSTILE = (
    "\x1b[2J\x1b]0;title\x07 [red]markup[/red] \u202egnirts\u2066 \r\b\0 :smile: 漢字" + "漢" * 100 + "\n> func_2(\n\x85\u2028end"
)


def test_hostile_characters_are_shown_as_escapes(tmp_path):
    text = shown(tmp_path, HOSTILE)
    assert all(row.isprintable() and cell_len(row) <= 80 for row in text.split("\n"))
    assert r"\x1b[2J\x1b]0;title\x07 [red]markup[/red] \u202egnirts\u2066 \r\x08\x00 :smile:" in text.replace("\n  ", " ")
    assert "\n  > func_2(\n" in text and "\n> " not in text
    assert "\x1b[1;31m> func_17" in shown(tmp_path, SLIP, force_terminal=True, color_system="standard")


@given(st.text())
def test_any_text_is_harmless_and_a_printable_one_stays(text):
    assert harmless(text).isprintable()
    assert not text.isprintable() or harmless(text) == text


@given(st.lists(st.integers(0, 400), max_size=120))
def test_a_cut_text_keeps_its_lines_and_says_how_much_is_missing(lengths):
    text = "\n".join("a" * length for length in lengths)
    lines = list(cut(text))
    numbered = [(number, line) for number, line in lines if number is not None]
    left_out = [line for number, line in lines if number is None]
    if not left_out:
        return
    assert list(enumerate(text.split("\n"))) == list(cut(text, full=True))
    kept = len("\n".join(line for _, line in numbered)) - 1
    assert left_out == [f"[{len(text) - kept:,} characters left out; fofg show --full shows them]"] and kept <= HEAD + TAIL
    whole = text.split("\n")
    assert all(line in whole[number] for number, line in numbered)
