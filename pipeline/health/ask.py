"""Asks several parts at once and waits for none longer than agreed: what does not answer is a fact like any other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import DependencyDown, OmeroMqError


@dataclass(frozen=True, kw_only=True, slots=True)
class Away:
    """A part that gave no answer.

    Attributes:
        name: what was asked, as people call it: ``omero-database``, ``state-database``, ``kafka``, ``kafka-connect``.
        why: what was seen.
        fix: what to do next.
        refused: it answered, but not to us: a wrong password, a missing grant, an unknown name.
    """

    name: str
    why: str
    fix: str
    refused: bool = False


Question = Callable[[], Any]
_FIXES = {
    "omero-database": "see whether PostgreSQL runs, and compare omero.host and omero.port: `omero-mq config show`",
    "state-database": "see whether PostgreSQL runs, and compare state.host and state.port: `omero-mq config show`",
    "kafka": "see whether the brokers run, and compare kafka.bootstrap: `omero-mq config show`",
    "kafka-connect": "see whether Kafka Connect runs, and compare cdc.connect_url: `omero-mq config show`",
}


def ask_all(questions: Mapping[tuple[str, str], Question], *, within_s: float) -> dict[str, Any]:
    """The answer to each question by its second name, or an `Away` about its first.

    Each runs in a thread of its own; one that is late is left behind, since it is bounded by its client's own time limits.

    Args:
        questions: (part that is asked, name of the answer) -> the question.
        within_s: when this returns at the latest [s].
    """
    answers: dict[str, Any] = {}
    threads = []
    for (part, name), question in questions.items():
        thread = threading.Thread(target=_answer, args=(part, name, question, answers), name=f"ask {name}", daemon=True)
        thread.start()
        threads.append(thread)
    until = time.monotonic() + within_s
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    given = dict(answers)  # a late one may still be writing into the other
    return {
        name: given.get(name, Away(name=part, why=f"no answer within {within_s:g} s", fix=_FIXES.get(part, "try again")))
        for part, name in questions
    }


def _answer(part: str, name: str, question: Question, answers: dict[str, Any]) -> None:
    try:
        answers[name] = question()
    except DependencyDown as error:
        why = str(error).removeprefix(f"{error.name} is away: ").partition("\n")[0].replace("connection failed: ", "")
        if error.name == "kafka":
            why = f"no broker answers as it should ({why.replace('Failed to get metadata: ', '').replace('Local: ', '').lower()})"
        answers[name] = Away(name=error.name, why=_line(why), fix=_FIXES.get(error.name, error.fix))
    except OmeroMqError as error:
        answers[name] = Away(name=part, why=_line(str(error)), fix=error.fix or _FIXES.get(part, ""), refused=True)
    except Exception as error:  # noqa: BLE001 - told as a failure of this part, so that the other parts are still shown
        why = f"unexpected {type(error).__name__}: {error}"
        answers[name] = Away(name=part, why=_line(why), fix="report it: this should have been caught", refused=True)


def _line(text: str) -> str:
    return " ".join(text.split())
