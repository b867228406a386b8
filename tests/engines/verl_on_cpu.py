"""A CPU platform for verl, added through verl's plugin registry, so that its SFT trainer runs here with real FSDP.

Environment: ``VERL_USE_EXTERNAL_MODULES`` names this module, ``VERL_PLATFORM`` is cpu, and ``VERL_ENGINE_DEVICE`` is cuda, whose
engine works on any PyTorch device.
"""

import os
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import torch
import verl.utils.distributed
from verl.plugin.platform.platform_base import PlatformBase
from verl.plugin.platform.platform_manager import PlatformRegistry

from fofg.training.verl import settings

ENVIRONMENT = {"VERL_USE_EXTERNAL_MODULES": __name__, "VERL_PLATFORM": "cpu", "VERL_ENGINE_DEVICE": "cuda"}
#: Further settings: FSDP2, since FSDP1 needs weights on a GPU.
SETTINGS = {"engine": {"strategy": "fsdp2", "use_torch_compile": False}, "trainer": {"device": "cpu"}}


def use() -> None:
    """Make verl's SFT trainer run on CPUs, in this process and its children."""
    path = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
    os.environ |= ENVIRONMENT | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    compose = settings.sft

    def on_cpu(*given) -> dict:
        values = compose(*given)
        for section, changes in SETTINGS.items():
            values[section] = values.get(section, {}) | changes
        return values

    settings.sft = on_cpu


def _nothing(*given) -> int:
    return 0


@PlatformRegistry.register(platform="cpu")
class Cpu(PlatformBase):
    device_name, vendor_name = "cpu", "none"
    #: In place of torch.cuda.
    device_module = SimpleNamespace(
        is_available=lambda: False,
        set_device=_nothing,
        set_rng_state=_nothing,
        max_memory_allocated=_nothing,
        max_memory_reserved=_nothing,
        memory_allocated=_nothing,
        memory_reserved=_nothing,
        mem_get_info=lambda: (0, 0),
        get_device_name=lambda: "cpu",
    )
    is_available = is_platform_available = lambda self, use_smi_check=False: True
    current_device = lambda self: torch.device("cpu")  # noqa: E731
    device_count = lambda self: 1  # noqa: E731
    communication_backend_name = lambda self: "gloo"  # noqa: E731
    visible_devices_envvar = lambda self: "CUDA_VISIBLE_DEVICES"  # noqa: E731
    ray_resource_name = lambda self: "CPU"  # noqa: E731
    nvtx_range = lambda self, text: nullcontext()  # noqa: E731
    is_ipc_supported = ray_noset_envvars = get_device_capability = cudart = _nothing
    set_device = synchronize = manual_seed = manual_seed_all = set_allocator_settings = empty_cache = _nothing
    profiler_start = profiler_stop = _nothing


# verl makes a process group of "cpu:gloo" and its device's backend; PyTorch accepts a device only once.
verl.utils.distributed.get_device_name = lambda: "cuda"
