"""A user's own servers by URL: the machine's Postgres and Redis, and LiteLLM's gateway as the language model.

`nox -s own` runs it. golden/chat must pass on them with every control, and name the servers that it was judged on. The
gateway answers by way of the simulator, so that its answers have the shape that the agents ask for.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path

import httpx

from netra_sim.lab import ports
from netra_sim.lab.lab import Lab, default_children
from netra_sim.lab.spawn import Command, Process, environment
from netra_sim.reports.result import Result

KEY, MODELS = "sk-for-this-machine-only", ("netra-large", "netra-small")
WANTED = {"postgres": "PostgreSQL", "redis": "Redis"}
SCALE = 0.5  # no scale shortens what servers of one's own take by themselves, the gateway above all
PATIENCE = 90.0  # seconds for the gateway, which imports for a while


async def main(gateway: str, only: str) -> int:
    """Exit code 0 when the scenario passed on these servers."""
    from_path = {"NETRA_POSTGRES": "path", "NETRA_REDIS": "path", "NETRA_CLICKHOUSE": "off"}
    simulator = [child for child in default_children(7, SCALE) if child.name == "llm"]
    with tempfile.TemporaryDirectory() as folder:
        async with Lab(settings=from_path, children=simulator) as lab:
            print("servers:", lab.servers(), flush=True)
            port = ports.free_port()
            process = _start(gateway, Path(folder), port, lab.llm_url)
            try:
                await _ready(process, port)
                given = {
                    "NETRA_POSTGRES": lab.postgres.url,
                    "NETRA_REDIS": lab.redis.url,
                    "NETRA_LLM": f"http://{ports.LOOPBACK}:{port}/v1",
                    "NETRA_LLM_KEY": KEY,
                }
                return await _run(Path(folder), only, given)
            finally:
                await process.kill()


def _start(gateway: str, folder: Path, port: int, model: str) -> Process:
    """LiteLLM in front of the simulator; it hands on the header that makes answers reproducible."""
    routes = [
        {"model_name": name, "litellm_params": {"model": f"openai/{name}", "api_base": model, "api_key": "none"}}
        for name in MODELS
    ]
    general = {"master_key": KEY, "forward_client_headers_to_llm_api": True}
    config = folder / "gateway.json"  # JSON is YAML, too
    config.write_text(json.dumps({"model_list": routes, "general_settings": general}))
    words = (gateway, "--config", str(config), "--host", ports.LOOPBACK, "--port", str(port))
    offline = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False", "LITELLM_LOG": "ERROR"}
    return Process(Command("gateway", words, folder, folder / "gateway.log", environment(offline)))


async def _ready(process: Process, port: int) -> None:
    async with asyncio.timeout(PATIENCE), httpx.AsyncClient(trust_env=False) as client:
        while True:
            try:
                await client.get(f"http://{ports.LOOPBACK}:{port}/health/liveliness")
                return
            except httpx.TransportError:
                if not process.alive:
                    raise process.failure("the gateway did not come up") from None
                await asyncio.sleep(0.2)  # it tells nobody when it is ready


async def _run(folder: Path, only: str, given: dict[str, str]) -> int:
    (folder / "noxfile.py").touch()
    (folder / "notebooks").symlink_to(Path(__file__).parents[1] / "notebooks")
    words = (sys.executable, "-m", "netra_sim", "run", "--only", only, "--scale", str(SCALE))
    process = await asyncio.create_subprocess_exec(*words, cwd=folder, env={**os.environ, **given})
    code = await process.wait()
    (result,) = folder.glob("runs/*/*/*/result.json")
    judged = Result.load(result)
    servers = judged.data["servers"]
    print("judged on:", servers)
    observed = {check["check"]: check["observed"] for check in judged.data["checks"]}
    for name in judged.blame:  # the folder that tells it is gone soon
        print(f"not pass: {name} {observed.get(name, '')}")
    held = all(servers[name].startswith(kind) for name, kind in WANTED.items()) and given["NETRA_LLM"] in servers["llm"]
    return code if held else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
