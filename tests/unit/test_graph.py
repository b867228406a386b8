"""``fofg graph``: rules by stage, what is stale, and the edges that a reader needs."""

import re

from fofg.graph import dot
from fofg.plan import _UNKNOWN, Job


def job(rule: str, inputs: str, outputs: str) -> Job:
    return Job(rule, inputs.split(), outputs.split(), 0, _UNKNOWN)


JOBS = [
    job("create_problems", "", "problems"),
    job("generate_iteration_rollouts", "problems", "rollouts0"),
    job("train_iteration", "rollouts0 problems", "model0"),
    job("generate_iteration_rollouts", "model0", "rollouts1"),
    job("train_iteration", "rollouts1", "model1"),
    job("plot_new", "model1", "figure"),
]


def test_rules_are_grouped_by_stage_and_filled_where_stale():
    text = dot(JOBS, JOBS[4:])
    assert re.findall(r'label="([^"\\]+)"; style', text) == ["Problems", "Stage 2, RFT", "Figures"]
    assert 'train_iteration [label="train_iteration\\n1 of 2 jobs", fillcolor="#2f6690"' in text
    assert 'generate_iteration_rollouts [label="generate_iteration_rollouts\\n2 jobs", fillcolor=white' in text
    assert "plot_new" in text


def test_edges_that_follow_from_others_are_left_out_and_those_back_are_dashed():
    edges = re.findall(r"^  (\w+) -> (\w+)(.*)$", dot(JOBS, []), re.MULTILINE)
    assert [edge[:2] for edge in edges if not edge[2]] == [
        ("create_problems", "generate_iteration_rollouts"),
        ("generate_iteration_rollouts", "train_iteration"),
        ("train_iteration", "plot_new"),
    ]
    assert [edge[:2] for edge in edges if "dashed" in edge[2]] == [("train_iteration", "generate_iteration_rollouts")]
