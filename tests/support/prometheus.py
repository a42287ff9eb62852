"""A real Prometheus: Debian's, of the system or of .ci/prometheus. In: whom to scrape, and rules. Out: its answers."""

import asyncio
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from machine import free_port
from places import REPOSITORY

_PATH = f"{REPOSITORY}/.cache/prometheus:{os.environ['PATH']}"
PROMTOOL = shutil.which("promtool", path=_PATH)
SERVER = shutil.which("prometheus", path=_PATH)
#: What it answers: values by labels.
Answer = dict[tuple[tuple[str, str], ...], float]
START_SECONDS = WAIT_SECONDS = 30


class Prometheus:
    """Scrapes one target each second, and evaluates those rules as often. Entering waits until it is ready.

    labels: the target's, beside instance. job: of its scrapes.
    """

    def __init__(self, directory: Path, target: str, job: str, labels: Mapping[str, str], groups: list[Any]) -> None:
        self._directory = directory
        rules = directory / "rules.yaml"
        rules.write_text(json.dumps({"groups": groups}))
        scrape = {"job_name": job, "static_configs": [{"targets": [target], "labels": dict(labels)}]}
        every = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        config = {"global": every, "rule_files": [rules.name], "scrape_configs": [scrape]}
        (directory / "prometheus.yaml").write_text(json.dumps(config))  # JSON is YAML
        self._address = f"127.0.0.1:{free_port()}"

    async def __aenter__(self) -> Self:
        assert SERVER
        self._log = (self._directory / "prometheus.log").open("wb")
        self._process = await asyncio.create_subprocess_exec(
            SERVER,
            f"--config.file={self._directory / 'prometheus.yaml'}",
            f"--storage.tsdb.path={self._directory / 'tsdb'}",
            f"--web.listen-address={self._address}",
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, "GOMAXPROCS": "1"},
        )
        self._session = aiohttp.ClientSession(f"http://{self._address}")
        try:
            async with asyncio.timeout(START_SECONDS):
                while not await self._is_ready():
                    await asyncio.sleep(0.1)
        except BaseException:
            await self._end()
            raise
        return self

    async def _is_ready(self) -> bool:
        assert self._process.returncode is None, (self._directory / "prometheus.log").read_text()
        try:
            async with self._session.get("/-/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientConnectionError:
            return False

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def _end(self) -> None:
        await self._session.close()
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        self._log.close()

    async def _get(self, path: str, **parameters: str) -> Any:
        async with self._session.get(f"/api/v1/{path}", params=parameters) as response:
            answer = await response.json()
        assert answer["status"] == "success", f"{parameters}: {answer}"
        return answer["data"]

    async def query(self, expression: str) -> Answer:
        """As of now."""
        data = await self._get("query", query=expression)
        assert data["resultType"] == "vector"
        return {tuple(sorted(one["metric"].items())): float(one["value"][1]) for one in data["result"]}

    async def until(self, condition: str) -> None:
        """Wait until that has an answer."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not await self.query(condition):
                await asyncio.sleep(0.1)

    async def values(self, label: str, series: str) -> set[str]:
        """Of a label, in those series."""
        return set(await self._get(f"label/{label}/values", **{"match[]": series}))

    async def rules(self) -> dict[str, Any]:
        """What it says of each rule, by its name, as of the last evaluation."""
        (group,) = (await self._get("rules"))["groups"]
        return {rule["name"]: rule for rule in group["rules"]}
