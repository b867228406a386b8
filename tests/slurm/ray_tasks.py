"""What a trainer does with a Ray cluster, in small: a worker on a GPU of each node, which compute together.

``python ray_tasks.py FILE`` in a Ray cluster writes a list: of each worker its node, GPUs, rank and the sum over all workers.
"""

import json
import socket
import sys
from pathlib import Path

import ray
from ray.util.placement_group import placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy


@ray.remote(num_gpus=1, num_cpus=1)
class Worker:
    def address(self) -> tuple[str, int]:
        with socket.socket() as probe:
            probe.bind(("", 0))
            return ray.util.get_node_ip_address(), probe.getsockname()[1]

    def add(self, master: tuple[str, int], rank: int, world: int) -> dict:
        import torch
        import torch.distributed as dist

        dist.init_process_group("gloo", init_method=f"tcp://{master[0]}:{master[1]}", rank=rank, world_size=world)
        value = torch.tensor(float(rank + 1))
        dist.all_reduce(value)
        dist.destroy_process_group()
        return {"node": ray.get_runtime_context().get_node_id(), "gpus": ray.get_gpu_ids(), "rank": rank, "sum": value.item()}


def main() -> None:
    ray.init(address="auto", log_to_driver=False)
    world = int(ray.cluster_resources()["GPU"])
    group = placement_group([{"GPU": 1, "CPU": 1}] * world, strategy="SPREAD")
    ray.get(group.ready(), timeout=120)
    workers = [
        Worker.options(scheduling_strategy=PlacementGroupSchedulingStrategy(group, index)).remote() for index in range(world)
    ]
    master = ray.get(workers[0].address.remote())
    found = ray.get([worker.add.remote(master, rank, world) for rank, worker in enumerate(workers)])
    Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
