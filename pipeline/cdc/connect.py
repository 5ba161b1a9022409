"""Kafka Connect's REST interface, as far as two connectors need it: apply, look, stop, go on, forget a place."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from pipeline.errors import DependencyDown, Misconfigured, Transient

NAME = "kafka-connect"
_TIMEOUT_S = 20.0  # applying a configuration makes Connect ask the database first
_CONFLICT = 409
_NOT_FOUND = 404
_BAD_REQUEST = 400
_SECRET_OPTIONS = ("password", "secret", "token")
_TRACE_LIMIT = 400
PATIENCE_S = 60.0  # for a rebalance, which follows each change of a connector and takes some seconds
_ASK_AGAIN_S = 0.2
_OBJECT = re.compile(r" ?(\w+=)?\w* ?(\[[^\[\]{}]*=[^\[\]{}]*\]|\{[^\[\]{}]*\}|\[[\s,]*\])")


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One option that differs; values of secret options are not shown unless they are references."""

    option: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        return f"{self.option}: {_shown(self.option, self.before)} -> {_shown(self.option, self.after)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskState:
    """One task; `cause` is why it failed, in one line."""

    task: int
    state: str
    worker: str
    cause: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectorState:
    """A connector as Kafka Connect shows it; ``state`` is ``MISSING`` when there is none of that name."""

    name: str
    state: str
    tasks: tuple[TaskState, ...] = ()
    cause: str = ""

    @property
    def problem(self) -> str:
        """What is wrong, in one line; empty when rows can flow.

        A connector that is RUNNING without a task delivers nothing: that is what a lost slot looks like.
        """
        if self.state == "MISSING":
            return f"the connector {self.name} does not exist"
        failed = [task for task in self.tasks if task.state == "FAILED"]
        if failed:
            return f"task {failed[0].task} of {self.name} failed: {failed[0].cause}"
        if self.state == "FAILED":
            return f"the connector {self.name} failed: {self.cause}"
        if self.state != "RUNNING":
            return f"the connector {self.name} is {self.state.lower()}"
        if not self.tasks:
            return f"the connector {self.name} has no tasks, so it reads nothing; it may still be starting, or its slot is lost"
        waiting = [task for task in self.tasks if task.state != "RUNNING"]
        return f"task {waiting[0].task} of {self.name} is {waiting[0].state.lower()}" if waiting else ""


class KafkaConnect:
    """A client of one Kafka Connect cluster. Every call raises `DependencyDown` for ``kafka-connect`` when nobody answers.

    A cluster that rebalances refuses for a moment what it is asked; it is asked again until patience ends.

    Args:
        url: any worker's REST address.
        patience_s: how long a rebalance is waited for [s]; 0: not at all.
        transport: for tests; None: HTTP.
    """

    def __init__(self, url: str, *, patience_s: float = PATIENCE_S, transport: httpx.BaseTransport | None = None) -> None:
        self._url = url.rstrip("/")
        self._patience_s = patience_s
        self._client = httpx.Client(base_url=self._url, timeout=_TIMEOUT_S, transport=transport, trust_env=False)

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._client.close()

    def connectors(self) -> list[str]:
        """The names of all connectors, ours or not."""
        return sorted(str(name) for name in self._json("GET", "/connectors"))

    def plugins(self) -> dict[str, str]:
        """Connector classes that are installed, with their versions."""
        found = self._json("GET", "/connector-plugins")
        return {str(plugin["class"]): str(plugin.get("version", "")) for plugin in found}

    def config(self, name: str) -> dict[str, str] | None:
        """The configuration in use, without the name that Connect adds; None when there is no such connector."""
        answer = self._send("GET", f"/connectors/{name}/config")
        if answer.status_code == _NOT_FOUND:
            return None
        found = self._checked(answer).json()
        return {str(key): str(value) for key, value in found.items() if key != "name"}

    def differences(self, name: str, config: Mapping[str, str]) -> list[Change]:
        """What `apply` would change; for a connector that does not exist: every option."""
        now = self.config(name) or {}
        keys = sorted(now.keys() | config.keys())
        return [Change(option=key, before=now.get(key), after=config.get(key)) for key in keys if now.get(key) != config.get(key)]

    def apply(self, name: str, config: Mapping[str, str]) -> list[Change]:
        """Make the connector, or give it this configuration; does nothing when it has it. Idempotent.

        Returns:
            What was changed.

        Raises:
            Misconfigured: Connect or Debezium refuses the configuration; the message names the options.
            Transient: the cluster has been rebalancing for longer than patience.
        """
        changes = self.differences(name, config)
        if changes:
            self._checked(self._send("PUT", f"/connectors/{name}/config", json=dict(config)))
        return changes

    def status(self, name: str) -> ConnectorState:
        """How the connector is; never raises for a failed one."""
        answer = self._send("GET", f"/connectors/{name}/status")
        if answer.status_code == _NOT_FOUND:
            return ConnectorState(name=name, state="MISSING")
        return _state(name, self._checked(answer).json())

    def stop(self, name: str) -> None:
        """Stop the connector and its tasks; its place and configuration stay. Idempotent, returns before it has stopped."""
        self._checked(self._send("PUT", f"/connectors/{name}/stop"))

    def resume(self, name: str) -> None:
        """Let a stopped or paused connector go on. Idempotent, returns before it runs."""
        self._checked(self._send("PUT", f"/connectors/{name}/resume"))

    def restart_failed(self, name: str) -> None:
        """Start again what failed, and nothing else."""
        self._checked(self._send("POST", f"/connectors/{name}/restart", params={"includeTasks": "true", "onlyFailed": "true"}))

    def delete(self, name: str) -> bool:
        """Delete the connector; its place stays in Connect's offsets. Idempotent; whether there was one."""
        answer = self._send("DELETE", f"/connectors/{name}")
        if answer.status_code == _NOT_FOUND:
            return False
        self._checked(answer)
        return True

    def offsets(self, name: str) -> list[dict[str, Any]]:
        """The place where the connector goes on, as Debezium wrote it."""
        found = self._json("GET", f"/connectors/{name}/offsets")
        return [dict(one) for one in found.get("offsets", [])]

    def reset_offsets(self, name: str) -> None:
        """Forget the place of a stopped connector. Idempotent.

        Raises:
            Misconfigured: the connector is not stopped.
        """
        self._checked(self._send("DELETE", f"/connectors/{name}/offsets"))

    def _json(self, method: Literal["GET"], path: str) -> Any:
        return self._checked(self._send(method, path)).json()

    def _send(self, method: str, path: str, *, json: Any = None, params: Mapping[str, str] | None = None) -> httpx.Response:
        deadline = time.monotonic() + self._patience_s
        while True:
            answer = self._ask(method, path, json=json, params=params)
            if not _rebalancing(answer) or time.monotonic() >= deadline:
                return answer
            time.sleep(_ASK_AGAIN_S)

    def _ask(self, method: str, path: str, *, json: Any, params: Mapping[str, str] | None) -> httpx.Response:
        try:
            return self._client.request(method, path, json=json, params=params)
        except httpx.HTTPError as error:
            raise DependencyDown(
                NAME,
                f"{self._url} did not answer: {error or type(error).__name__}",
                fix="start it (`omero-mq up`, or its service), or correct cdc.connect_url",
            ) from error

    def _checked(self, answer: httpx.Response) -> httpx.Response:
        if answer.is_success:
            return answer
        message = _message(answer)
        if answer.status_code == _NOT_FOUND:
            raise Misconfigured(f"Kafka Connect: {message}", fix="`omero-mq connector apply` makes the connectors")
        if _rebalancing(answer):
            raise Transient(f"Kafka Connect is rebalancing: {message}")
        if answer.status_code == _BAD_REQUEST:
            raise Misconfigured(f"Kafka Connect refuses: {message}", fix="`omero-mq doctor` looks at what the connector needs")
        fix = "look into Kafka Connect's log; `omero-mq connector status` says how the connectors are"
        raise DependencyDown(NAME, f"{self._url} answers {answer.status_code}: {message}", fix=fix)


def shortened(trace: str) -> str:
    """The cause in a Java stack trace, in one line: the last "Caused by" that says something, without its class's name.

    Debezium's messages hold whole printed objects; what is in brackets and long is left out.
    """
    lines = [line.strip() for line in trace.splitlines() if line.strip() and not line.lstrip().startswith(("at ", "..."))]
    heads = [line for line in lines if line.startswith("Caused by: ")] or lines[:1]
    spoken = [head for head in heads if _words(head)]
    words = _words(spoken[-1]) if spoken else heads[-1].removeprefix("Caused by: ") if heads else "no reason given"
    return _without_objects(words)[:_TRACE_LIMIT]


def _without_objects(words: str) -> str:
    while (shorter := _OBJECT.sub("", words)) != words:
        words = shorter
    return " ".join(words.split())


def _words(head: str) -> str:
    """What an exception says, after ``Caused by: some.package.SomeException: ``."""
    first, _, rest = head.removeprefix("Caused by: ").partition(": ")
    is_class = "." in first and " " not in first
    return rest.strip() if is_class else head.removeprefix("Caused by: ").strip()


def _state(name: str, found: Mapping[str, Any]) -> ConnectorState:
    tasks = tuple(
        TaskState(
            task=int(task["id"]),
            state=str(task["state"]),
            worker=str(task.get("worker_id", "")),
            cause=shortened(task["trace"]) if task.get("trace") else "",
        )
        for task in found.get("tasks", [])
    )
    connector = found["connector"]
    cause = shortened(connector["trace"]) if connector.get("trace") else ""
    return ConnectorState(name=name, state=str(connector["state"]), tasks=tasks, cause=cause)


def _rebalancing(answer: httpx.Response) -> bool:
    return answer.status_code == _CONFLICT or (answer.is_server_error and "rebalance" in _message(answer).lower())


def _message(answer: httpx.Response) -> str:
    try:
        message = str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        message = answer.text.strip() or answer.reason_phrase
    return " ".join(message.split())


def _shown(option: str, value: str | None) -> str:
    if value is None:
        return "not set"
    is_secret = any(word in option for word in _SECRET_OPTIONS) and not value.startswith("${")
    return "(hidden)" if is_secret else repr(value)
