"""The GPU environment (envs/gpu.txt) can be imported on a machine without a GPU (`make test-env-gpu`)."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_model

import fofg
from fofg.training import engines

pytestmark = pytest.mark.engines
#: Modules that the engines start as programs, or that verl imports by name in its workers.
PROGRAMS = [
    "import verl.trainer.main_ppo",
    "import verl.model_merger.__main__",
    "import torch.distributed.run",
    "import verl.workers.engine_workers",
    "import verl.workers.engine.fsdp.transformer_impl",
    "import verl.workers.rollout.vllm_rollout.vllm_async_server",
    "import verl.experimental.agent_loop.single_turn_agent_loop",
    "from vllm import LLM",
]
IMPORT = """
import sys
for statement in sys.argv[1:]:
    exec(statement)
"""
PATCH = """
import sys
from transformers import AutoModelForCausalLM
from verl.models.transformers.monkey_patch import apply_monkey_patch
apply_monkey_patch(AutoModelForCausalLM.from_pretrained(sys.argv[1]), ulysses_sp_size=1, use_remove_padding=True)
"""


def run(code: str, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def imports() -> list[str]:
    """Return all import statements of the package, also those inside functions."""
    found = set()
    for path in Path(fofg.__file__).parent.rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text()))
        found |= {ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)}
    return sorted(found)


def test_all_imports_of_the_package_work():
    statements = imports()
    assert {
        "from ray._raylet import GcsClient",
        "from verl.trainer.sft_trainer import SFTTrainer",
    } <= set(statements)
    run(IMPORT, *statements)


def test_all_programs_that_the_engines_start_can_be_imported():
    run(IMPORT, *PROGRAMS)


def test_verl_sets_up_a_model(tmp_path):
    run(PATCH, str(tiny_model.make(tmp_path / "model")))


@pytest.mark.parametrize("kind", ["sft", "rl"])
@pytest.mark.parametrize("name", ["torch", "verl"])
def test_all_training_engines_load(kind, name):
    assert callable(engines.find(kind, name))
