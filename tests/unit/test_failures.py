"""Classes of responses: their definitions, hand-labelled responses, files and tables."""

import json
from collections import Counter
from functools import cache
from pathlib import Path

import problem_sets
import pytest
import rollout_rows
from hypothesis import assume, given
from hypothesis import strategies as st

from fofg.data.files import read_rows, write_parquet
from fofg.data.schemas import FAILURES, ROLLOUTS
from fofg.errors import UserError
from fofg.evaluation.failures import classify_file, summarize
from fofg.tasks.strings import balanced_sampler
from fofg.tasks.strings.expressions import Leaf, Step, evaluate, parse, shown, steps
from fofg.tasks.strings.failures import CLASSES, classify
from fofg.tasks.strings.failures_alignment import Solution
from fofg.tasks.task import Split

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
LABELLED = Path(__file__).parents[1] / "labelled" / "failures.jsonl"
CORRECT, ATOMIC, INCORRECT, INCOMPLETE, IGNORES, NO_ANSWER, UNREADABLE = CLASSES

#: func_2 drops vowels, func_6 adds a suffix, func_7 interlaces, func_14 doubles characters, func_17 reverses.
CHAIN = "func_14(func_17(func_2(x)))"
PAIR = "func_7(func_17(x), func_2(x))"
JOINED = "func_17((func_2(x) + 'ab'))"
TWICE = "func_6(func_6(x, 'pq'), 'rs')"

#: Steps that are right on the input "table".
VOWELS, REVERSED, DOUBLED = 'func_2("table") -> "tbl"', 'func_17("tbl") -> "lbt"', 'func_14("lbt") -> "llbbtt"'
REVERSED_FIRST = 'func_17("table") -> "elbat"'
#: A wrong result, and a right step from it.
KEPT_A, REVERSED_A = 'func_2("table") -> "tabl"', 'func_17("tabl") -> "lbat"'

#: Expression, steps, answer, class; the input is always "table".
DEFINITIONS = {
    "all right": (CHAIN, [VOWELS, REVERSED, DOUBLED], "llbbtt", CORRECT),
    "right answer, wrong way": (CHAIN, ['func_2("x") -> "y"'], "llbbtt", CORRECT),
    "wrong result": (CHAIN, [VOWELS, REVERSED, 'func_14("lbt") -> "llbt"'], "llbt", ATOMIC),
    "wrong result, then right": (CHAIN, [KEPT_A, REVERSED_A, 'func_14("lbat") -> "llbbaatt"'], "llbbaatt", ATOMIC),
    "operand miswritten": (
        CHAIN,
        ['func_2("tble") -> "tbl"', 'func_17("tbk") -> "kbt"', 'func_14("kbt") -> "kkbbtt"'],
        "kkbbtt",
        ATOMIC,
    ),
    "answer miswritten": (CHAIN, [VOWELS, REVERSED, DOUBLED], "llbbttt", ATOMIC),
    "inner calls in the head": (JOINED, ['func_17("tblab") -> "balb"'], "balb", ATOMIC),
    "last call in the head": (CHAIN, [KEPT_A, REVERSED_A], "llbbaatt", ATOMIC),
    "parameter lost": (TWICE, ['func_6("table") -> "tablepq"', 'func_6("tablepq", "rs") -> "tablepqsr"'], "tablepqsr", ATOMIC),
    "parameter of nobody": (
        TWICE,
        ['func_6("table", "pg") -> "tablepg"', 'func_6("tablepg", "rs") -> "tablepgrs"'],
        "tablepgrs",
        ATOMIC,
    ),
    "second attempt right but for a value": (
        PAIR,
        ['func_7("table", "tbl") -> "ttabbll"', REVERSED_FIRST, VOWELS, 'func_7("elbat", "tbl") -> "etl"'],
        "etl",
        ATOMIC,
    ),
    "parameters of the same function swapped": (
        TWICE,
        ['func_6("table", "rs") -> "tablers"', 'func_6("tablers", "pq") -> "tablerspq"'],
        "tablerspq",
        INCORRECT,
    ),
    "outer call first": (CHAIN, [REVERSED_FIRST, 'func_2("elbat") -> "lbt"'], "lbt", INCORRECT),
    "call skipped": (CHAIN, [VOWELS, 'func_14("tbl") -> "ttbbll"'], "ttbbll", INCORRECT),
    "function not called there": (CHAIN, [VOWELS, 'func_9("tbl") -> "tbllbt"'], "tbllbt", INCORRECT),
    "operands swapped": (PAIR, [REVERSED_FIRST, VOWELS, 'func_7("tbl", "elbat") -> "tebllbat"'], "tebllbat", INCORRECT),
    "operand missing": (PAIR, [REVERSED_FIRST, 'func_7("elbat") -> "elbat"'], "elbat", INCORRECT),
    "operand too many": (CHAIN, [VOWELS, 'func_17("tbl", "table") -> "lbt"'], "lbt", INCORRECT),
    "join left out": (JOINED, [VOWELS, REVERSED], "lbt", INCORRECT),
    "join in the other order": (JOINED, [VOWELS, 'func_17("abtbl") -> "lbtba"'], "lbtba", INCORRECT),
    "one call too many": (CHAIN, [VOWELS, REVERSED, DOUBLED, 'func_17("llbbtt") -> "ttbbll"'], "ttbbll", INCORRECT),
    "answer from elsewhere": (CHAIN, [VOWELS, REVERSED, DOUBLED], "lbt", INCORRECT),
    "last call missing": (CHAIN, [VOWELS, REVERSED], "lbt", INCOMPLETE),
    "last call missing after a wrong result": (CHAIN, [KEPT_A, REVERSED_A], "lbat", INCOMPLETE),
    "only the operands": (PAIR, [REVERSED_FIRST, VOWELS], "elbattbl", INCOMPLETE),
    "last join missing": ("(func_17(func_2(x)) + 'ab')", [VOWELS, REVERSED], "lbt", INCOMPLETE),
    "inner call missing": (CHAIN, ['func_17("tbll") -> "llbt"', 'func_14("llbt") -> "llllbbtt"'], "llllbbtt", INCOMPLETE),
    "one step": (CHAIN, [VOWELS], "tbl", IGNORES),
    "one step, wrong": (CHAIN, ['func_14("table") -> "tabel"'], "tabel", IGNORES),
    "the same step again": (CHAIN, [VOWELS, 'So func_2("table") = "tbl".'], "tbl", IGNORES),
    "answer of a sub-expression": (CHAIN, [], "lbt", IGNORES),
    "answer of the outermost call on the input": (CHAIN, [], "ttaabbllee", IGNORES),
    "input as answer": (CHAIN, ["The calls undo each other."], "table", IGNORES),
    "literal as answer": (JOINED, [], "ab", IGNORES),
    "single call, wrong result": ("func_17(x)", ['func_17("table") -> "elbta"'], "elbta", ATOMIC),
    "single call, another function": ("func_17(x)", [VOWELS], "tbl", INCORRECT),
    "single call, no step": ("func_17(x)", [], "table", UNREADABLE),
    "no step": (CHAIN, ["Some calls later we have it."], "tlb", UNREADABLE),
    "answer is no text": (CHAIN, [], ["tbl"], UNREADABLE),
}


def response(steps, answer):
    return "\n".join([*steps, json.dumps({"output": answer})])


@pytest.mark.parametrize("case", DEFINITIONS)
def test_definitions(case):
    expression, steps, answer, expected = DEFINITIONS[case]
    assert classify(Solution(parse(expression), "table"), response(steps, answer)) == expected


def test_no_answer_takes_precedence_over_steps():
    problem = Solution(parse(CHAIN), "table")
    steps = ['func_2("table") -> "tbl"', 'func_17("tbl") -> "lbt"']
    assert classify(problem, "\n".join(steps)) == NO_ANSWER
    assert classify(problem, response(steps, "llbbtt"), truncated=True) == NO_ANSWER
    stray = "{ " + response(steps, "lbt")
    assert (classify(problem, stray), classify(problem, stray, rule="lenient")) == (NO_ANSWER, INCOMPLETE)


def test_classes_agree_with_hand_labels(capsys):
    """310 responses: 245 of tiny models (base, Stage 1, reinforcement learning), 65 written the way larger models answer.

    Labelled from the definitions before the classifier saw them. It was then fixed where it broke the definitions, so the floors
    guard against regressions; they are no estimate for other kinds of text.
    """
    rows = [json.loads(line) for line in LABELLED.read_text(encoding="utf-8").splitlines()]
    pairs = Counter()
    for row in rows:
        found = classify(Solution(parse(row["expression"]), row["input"]), row["response"], row.get("truncated", False))
        pairs[row["label"], found] += 1
    lines = [f"{'class':22} labelled  found  precision  recall"]
    scores = []
    for name in CLASSES:
        labelled = sum(count for (label, _), count in pairs.items() if label == name)
        found = sum(count for (_, other), count in pairs.items() if other == name)
        scores.append((pairs[name, name] / found, pairs[name, name] / labelled))
        lines.append(f"{name:22} {labelled:8} {found:6} {scores[-1][0]:10.3f} {scores[-1][1]:7.3f}")
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    assert len(rows) >= 100 and {row["source"] for row in rows} == {"tiny", "written"}
    assert sum(pairs[name, name] for name in CLASSES) / len(rows) >= 0.95
    assert all(precision >= 0.9 and recall >= 0.9 for precision, recall in scores)


@cache
def sampled(level):
    settings = problem_sets.DEFAULT.problems.model_copy(update={"seed": 7})
    pool = problem_sets.pool("stage2_level1to8", "test")
    return list(balanced_sampler.sample(Split("failures", 2, "test", [(level, 60)]), pool, settings))


def line(step):
    """Return a step as the tiny model writes it."""
    quoted = [json.dumps(argument, ensure_ascii=False) for argument in step.arguments]
    named = " + ".join(quoted) if step.operator == "+" else f"{step.operator}({', '.join(quoted)})"
    return f"{named} does its work -> {json.dumps(step.output, ensure_ascii=False)}"


problems = st.integers(2, 6).flatmap(lambda level: st.sampled_from(sampled(level)))


@given(problems)
def test_the_true_trace_is_correct(problem):
    trace = steps(problem.expression, problem.input)
    assert classify(Solution(problem.expression, problem.input), response(map(line, trace), problem.output)) == CORRECT


@given(problems)
def test_a_slip_in_the_last_result_is_atomic(problem):
    *trace, last = steps(problem.expression, problem.input)
    assume(trace)
    last = last._replace(output=last.output + "~")
    assert classify(Solution(problem.expression, problem.input), response(map(line, [*trace, last]), last.output)) == ATOMIC


@given(problems, st.data())
def test_a_slip_followed_by_right_steps_is_atomic(problem, data):
    """Each operation is applied to the response's own values, with "~" added to the result of one of them."""
    spoilt = data.draw(st.integers(0, len(steps(problem.expression, problem.input)) - 1))
    trace = []

    def work(node):
        if isinstance(node, Leaf):
            return evaluate(node, problem.input)
        arguments = (*map(work, node.operands), *node.parameters)
        output = applied(shown(node), arguments) + ("~" if len(trace) == spoilt else "")
        trace.append(Step(shown(node), arguments, output))
        return output

    answer = work(problem.expression)
    assume(answer != problem.output and answer not in {argument for step in trace for argument in step.arguments})
    found = classify(Solution(problem.expression, problem.input), response(map(line, trace), answer))
    assert found == (ATOMIC if len(trace) > 1 else IGNORES)


def applied(operator, arguments):
    if operator == "+":
        return "".join(arguments)
    return evaluate(parse(f"{operator}({', '.join(map(repr, arguments))})"), "")


@given(problems)
def test_stopping_before_the_outermost_call_is_incomplete(problem):
    trace = steps(problem.expression, problem.input)[:-1]
    assume(len(trace) > 1)
    assert classify(Solution(problem.expression, problem.input), response(map(line, trace), trace[-1].output)) == INCOMPLETE


@given(problems)
def test_a_foreign_step_at_the_end_is_incorrect(problem):
    trace = steps(problem.expression, problem.input)
    extra = Step("func_13", (problem.output, "|"), "|".join(problem.output))
    assume(len(problem.output) > 1)
    found = classify(Solution(problem.expression, problem.input), response(map(line, [*trace, extra]), extra.output))
    assert found == INCORRECT


@given(problems)
def test_the_first_step_alone_ignores_composition(problem):
    step = steps(problem.expression, problem.input)[0]
    found = classify(Solution(problem.expression, problem.input), response([line(step)], step.output))
    assert found == IGNORES


def rollout(index, responses, level=3, reasons=None, expression=CHAIN, output="llbbtt"):
    return rollout_rows.rollout(
        index, responses, level, reasons, expression=expression, x="table", output=output, functions=["remove_vowels"]
    )


RIGHT, PARTIAL = response([], "llbbtt"), response(['func_2("table") -> "tbl"', 'func_17("tbl") -> "lbt"'], "lbt")


def test_a_file_has_a_row_per_response_of_the_levels(tmp_path):
    rows = [
        rollout(4, [RIGHT, PARTIAL, RIGHT], reasons=["stop", "stop", "length"]),
        rollout(5, [RIGHT], level=2),
        rollout(6, []),
        rollout(9, [RIGHT], level=5),
    ]
    write_parquet(tmp_path / "r.parquet", ROLLOUTS, [rows])
    counts = classify_file(tmp_path / "r.parquet", tmp_path / "f.parquet", (3, 4), "published")
    assert counts == {CORRECT: 1, INCOMPLETE: 1, NO_ANSWER: 1}
    found = [tuple(row.values()) for row in read_rows(tmp_path / "f.parquet", FAILURES)]
    assert found == [(4, 3, 0, CORRECT), (4, 3, 1, INCOMPLETE), (4, 3, 2, NO_ANSWER)]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (rollout(0, [RIGHT], level=2), r"no problem of level 3 to 3; correct failures\.levels"),
        (rollout(0, [RIGHT], output="other"), r"row 0: ref_output is not the value of func_14"),
        (rollout(0, [RIGHT], expression="func_99(x)"), r"row 0: not an expression .* make the problems again"),
    ],
)
def test_unusable_problems_are_named(tmp_path, row, problem):
    write_parquet(tmp_path / "r.parquet", ROLLOUTS, [[row]])
    with pytest.raises(UserError, match=r"r\.parquet: " + problem):
        classify_file(tmp_path / "r.parquet", tmp_path / "f.parquet", (3, 3), "published")
    assert not (tmp_path / "f.parquet").exists()


def failures(path, *names, level=3):
    rows = [{"index": place, "level": level, "sample": 0, "failure": name} for place, name in enumerate(names)]
    write_parquet(path, FAILURES, [rows])
    return path


def test_shares_have_a_row_per_class(tmp_path):
    first = failures(tmp_path / "a.parquet", CORRECT, ATOMIC, ATOMIC, NO_ANSWER)
    second = failures(tmp_path / "b.parquet", IGNORES, level=2)
    table = summarize(["stage1-rft", "base"], [first, second]).to_dict("records")
    assert [(row["model"], row["level"]) for row in table] == [("stage1-rft", 3)] * 7 + [("base", 2)] * 7
    assert [row["failure"] for row in table] == [*CLASSES, *CLASSES]
    shares = {(row["model"], row["failure"]): (row["responses"], row["share"]) for row in table}
    assert shares["stage1-rft", ATOMIC] == (2, 0.5)
    assert shares["stage1-rft", INCOMPLETE] == (0, 0.0)
    assert shares["base", IGNORES] == (1, 1.0)


def test_unknown_classes_are_named(tmp_path):
    with pytest.raises(UserError, match=r"a\.parquet: no class 'odd'; there are correct"):
        summarize(["base"], [failures(tmp_path / "a.parquet", "odd")])
