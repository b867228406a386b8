"""The problems as an environment of the real ``verifiers``: a server that speaks OpenAI's chat interface answers them."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fofg.errors import UserError

vf = pytest.importorskip("verifiers.v1")
pytestmark = pytest.mark.verifiers
ID = "fofg-problems"
#: Executed, each of these would leave the file behind.
HOSTILE = "__import__('pathlib').Path({path!r}).touch()"


def environment(task=None, **taskset):
    taskset = vf.taskset_config_type(ID)(id=ID, task=task or {}, **taskset)
    return vf.load_environment(vf.env_config_type(ID)(taskset=taskset, agent={"runtime": {"type": "subprocess"}}))


def truth(task) -> str:
    return json.loads(task.data.row["reward_model"]["ground_truth"])["ref_output"]


def scored(task, text: str):
    """Return reward and metrics of a response."""
    info = vf.TraceTask(type=type(task).__name__, data=task.data)
    trace = vf.Trace(task=info, agent=vf.AgentInfo(config=vf.AgentConfig()), root_reply=text)
    asyncio.run(task.score(trace))
    return trace.reward, trace.metrics


def test_problems_are_those_of_the_configuration_and_a_file_takes_their_place(tmp_path):
    sampled = list(environment().taskset.take(4))
    assert sampled[0].data.prompt.startswith("You are given this Python code:")
    path = tmp_path / "mine.jsonl"
    rows = [{**task.data.row, "prompt": [{"role": "user", "content": "mine"}]} for task in sampled]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    own = list(environment(file=path).taskset)
    assert [truth(task) for task in own] == [truth(task) for task in sampled]
    assert {task.data.prompt for task in own} == {"mine"}
    with pytest.raises(UserError, match="has no train problems"):
        list(environment(dataset="stage2_passk").taskset)


@pytest.mark.parametrize(("scheme", "none"), [("published_code", -1.0), ("binary", 0.0)])
def test_rewards_are_those_of_the_project_and_nothing_is_executed(scheme, none, tmp_path):
    (task,) = environment(task={"scheme": scheme}).taskset.take(1)
    assert scored(task, json.dumps({"output": truth(task)})) == (1.0, {"correct": 1.0, "answered": 1.0})
    assert scored(task, '{"output": "?!"}') == (0.0, {"correct": 0.0, "answered": 1.0})
    assert scored(task, "I do not know") == (none, {"correct": 0.0, "answered": 0.0})
    path = tmp_path / "executed"
    for text in (code := HOSTILE.format(path=str(path)), json.dumps({"output": code}), f'{{"output": {code}}}', "{" * 20_000):
        assert scored(task, text)[0] < 1
    assert not path.exists()


def test_episodes_of_the_package_get_the_rewards():
    env = environment()
    tasks = list(env.taskset.take(3))
    answers = [json.dumps({"output": truth(tasks[0])}), '{"output": "?!"}', "I do not know"]
    replies = {task.data.prompt: answer for task, answer in zip(tasks, answers)}

    class Model(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            deltas = [({"role": "assistant", "content": replies[body["messages"][-1]["content"]]}, None), ({}, "stop")]
            shared = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m"}
            chunks = [{**shared, "choices": [{"index": 0, "delta": delta, "finish_reason": end}]} for delta, end in deltas]
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.wfile.write("".join(f"data: {line}\n\n" for line in [*map(json.dumps, chunks), "[DONE]"]).encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = vf.EvalClientConfig(base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key_var="NONE")

    async def episodes():
        async with env.serving():
            return [await env.run_episode(task, vf.ModelContext(model="m", client=client)) for task in tasks]

    try:
        traces = [episode.traces[0] for episode in asyncio.run(episodes())]
    finally:
        server.shutdown()
        server.server_close()
    assert [trace.errors for trace in traces] == [[], [], []]
    assert [trace.reward for trace in traces] == [1.0, 0.0, -1.0]
    assert [trace.last_reply for trace in traces] == answers
