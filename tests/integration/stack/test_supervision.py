"""The supervisor with real processes that misbehave in every way; no Kafka, no PostgreSQL needed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.errors import Misconfigured
from pipeline.process.notify import Notifier
from pipeline.stack import identity, leftovers
from pipeline.stack.control import running, stop_running
from pipeline.stack.directory import DataDirectory
from pipeline.stack.keeper import StartFailed
from pipeline.stack.leftovers import Recorded
from pipeline.stack.process import Process
from pipeline.stack.stack import Cancelled, Preparation

ROOT = Path(__file__).resolve().parents[3]

GOOD = """
import os, sys, time
from pipeline.process.notify import Notifier
from pipeline.process.signals import StopSignal
stop = StopSignal(); stop.install()
notifier = Notifier(dict(os.environ))
notifier.ready("at work")
while not stop.wait(notifier.watchdog_interval_s or 1.0):
    notifier.watchdog()
notifier.stopping()
if len(sys.argv) > 1:
    open(sys.argv[1], "a").write(sys.argv[2] + "\\n")
"""
DEAF = GOOD.replace("stop.install()", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)")


def service(name: str, code: str = GOOD, *arguments: str, **more) -> Process:
    values = {
        "name": name,
        "argv": (sys.executable, "-c", code, *arguments),
        "directory": Path(),
        "environment": {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        "grace_s": 5.0,
        "ready_within_s": 30.0,
        **more,
    }
    return Process(**values)


def until(condition, within_s: float = 20.0):
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("did not happen in time")


def condition(stack, name):
    return next(one for one in stack.conditions() if one.name == name)


def test_a_service_is_ready_when_it_says_so_and_its_words_are_shown(own_stack):
    with own_stack(parts=(), services=[service("one")]) as stack:
        stack.start()
        now = condition(stack, "one")
        assert (now.state, now.status, now.restarts, now.error) == ("ready", "at work", 0, "")
        assert now.who == identity.identity(stack.pid("one"))


def test_a_killed_service_is_started_again(own_stack):
    with own_stack(parts=(), services=[service("one")]) as stack:
        stack.start()
        before = stack.pid("one")
        stack.kill("one")
        until(lambda: stack.pid("one") not in (0, before))
        stack.wait_ready("one")
        assert condition(stack, "one").restarts == 1


def test_a_frozen_service_is_killed_and_started_again(own_stack):
    with own_stack(parts=(), services=[service("one", watchdog_s=0.6)]) as stack:
        stack.start()
        before = stack.pid("one")
        stack.freeze("one")
        until(lambda: stack.pid("one") not in (0, before))
        stack.wait_ready("one")
        assert identity.identity(before) is None


def test_a_service_that_speaks_often_enough_is_left_alone(own_stack):
    with own_stack(parts=(), services=[service("one", watchdog_s=0.6)]) as stack:
        stack.start()
        before = stack.pid("one")
        time.sleep(2.0)
        assert stack.pid("one") == before


def test_services_end_after_those_that_need_them_and_before_what_they_need(own_stack, tmp_path):
    ended = tmp_path / "ended"
    services = [
        service("first", GOOD, str(ended), "first"),
        service("second", GOOD, str(ended), "second", after=("first",)),
        service("third", GOOD, str(ended), "third", after=("second",)),
    ]
    with own_stack(parts=(), services=services) as stack:
        stack.start()
    assert ended.read_text().split() == ["third", "second", "first"]


def test_a_service_that_ignores_sigterm_is_killed_after_its_grace(own_stack):
    stack = own_stack(parts=(), services=[service("deaf", DEAF, grace_s=1.0)])
    stack.start()
    pid = stack.pid("deaf")
    began = time.monotonic()
    stack.stop()
    assert 0.9 < time.monotonic() - began < 4.0
    assert identity.identity(pid) is None


def test_a_frozen_service_still_ends_cleanly_when_the_stack_stops(own_stack, tmp_path):
    ended = tmp_path / "ended"
    stack = own_stack(parts=(), services=[service("one", GOOD, str(ended), "cleanly")])
    stack.start()
    stack.freeze("one")
    stack.stop()
    assert ended.read_text() == "cleanly\n"


def test_a_service_that_ends_at_once_stops_the_start_and_its_last_words_are_shown(own_stack):
    stack = own_stack(parts=(), services=[service("bad", "raise SystemExit('setting kafka.bootstrp is unknown')")])
    with pytest.raises(StartFailed, match="bad ended before it was ready \\(exit status 1\\)") as caught:
        stack.start()
    assert "setting kafka.bootstrp is unknown" in str(caught.value)
    assert caught.value.fix == f"read {stack.directory.logs / 'bad.log'}"
    assert stack.directory.holder() is None


def test_a_service_that_never_gets_ready_is_given_up(own_stack):
    stack = own_stack(parts=(), services=[service("slow", "import time; time.sleep(60)", ready_within_s=0.5)])
    with pytest.raises(StartFailed, match=r"slow was not ready after 0\.5 s and was killed"):
        stack.start()


WAITING = """
import os, time
from pipeline.process.notify import Notifier
while True:
    Notifier(dict(os.environ)).status("waiting for kafka")
    time.sleep(0.1)
"""


def test_a_service_that_waits_at_its_first_start_is_quoted(own_stack):
    stack = own_stack(parts=(), services=[service("waiting", WAITING, ready_within_s=0.5)])
    with pytest.raises(StartFailed, match="waiting does not become ready; it says: waiting for kafka"):
        stack.start()


def test_a_service_that_waits_for_a_dependency_after_a_restart_is_left_waiting(own_stack, tmp_path):
    away = tmp_path / "away"
    code = f"import os\nif os.path.exists({str(away)!r}):\n" + "".join(f"    {line}\n" for line in WAITING.splitlines()) + GOOD
    with own_stack(parts=(), services=[service("one", code, ready_within_s=1.0)]) as stack:
        stack.start()
        away.touch()
        stack.kill("one")
        until(lambda: condition(stack, "one").status == "waiting for kafka")
        pid = stack.pid("one")
        time.sleep(2.0)
        assert (stack.pid("one"), condition(stack, "one").state) == (pid, "starting")


def test_a_program_that_does_not_exist_is_named(own_stack):
    stack = own_stack(parts=(), services=[service("none", argv=("/no/such/program",))])
    with pytest.raises(StartFailed, match="none ended before it was ready") as caught:
        stack.start()
    assert "/no/such/program" in str(caught.value)


def test_a_service_that_crashes_again_and_again_waits_longer_each_time(own_stack, tmp_path):
    broken = tmp_path / "broken"
    code = f"import os\nif os.path.exists({str(broken)!r}): raise SystemExit(3)\n" + GOOD
    with own_stack(parts=(), services=[service("one", code)]) as stack:
        stack.start()
        broken.touch()
        began = time.monotonic()
        stack.kill("one")
        until(lambda: condition(stack, "one").restarts >= 2)
        took_s = time.monotonic() - began
        assert took_s > 1.5, "half a second, then a second"
        assert "exit status 3" in condition(stack, "one").error
        broken.unlink()
        stack.wait_ready("one", 20)
        assert condition(stack, "one").error == ""


def test_a_probe_that_is_broken_ends_the_process_and_says_so(own_stack):
    stack = own_stack(parts=(), services=[service("one", probe=lambda: {}["missing"])])
    with pytest.raises(StartFailed, match=r"one could not be watched: KeyError\('missing'\)"):
        stack.start()
    assert leftovers.recorded(stack.directory) == []


def test_what_is_taken_down_stays_down_until_it_is_brought_up(own_stack):
    with own_stack(parts=(), services=[service("one")]) as stack:
        stack.start()
        stack.take_down("one", kill=True)
        time.sleep(0.8)
        assert (stack.pid("one"), condition(stack, "one").state) == (0, "down")
        stack.bring_up("one")
        assert condition(stack, "one").state == "ready"


def test_preparations_run_once_before_the_services(own_stack, tmp_path):
    ran = tmp_path / "ran"
    code = f"open({str(ran)!r}, 'a').write('service ')\n" + GOOD
    preparation = Preparation(name="database", run=lambda where: ran.write_text(f"prepared {Path(where.directory).name} "))
    with own_stack(parts=(), prepare=[preparation], services=[service("one", code)]) as stack:
        stack.start()
        stack.start()
        assert ran.read_text().split() == ["prepared", stack.directory.path.name, "service"]


def test_a_preparation_that_fails_stops_the_start_with_its_own_error(own_stack):
    def fail(_where):
        raise Misconfigured("the state database is newer than this program", fix="upgrade omero-mq")

    stack = own_stack(parts=(), prepare=[Preparation(name="database", run=fail)], services=[service("one")])
    with pytest.raises(Misconfigured, match="the state database is newer"):
        stack.start()
    assert stack.conditions() == []


def test_a_start_can_be_given_up(own_stack):
    stack = own_stack(parts=(), services=[service("slow", "import time; time.sleep(60)")])
    with pytest.raises(Cancelled):
        stack.start(cancelled=lambda: True)
    assert stack.directory.holder() is None


def test_nobody_else_can_speak_for_a_service(own_stack, tmp_path):
    address = tmp_path / "address"
    code = f"import os, time; open({str(address)!r}, 'w').write(os.environ['NOTIFY_SOCKET'] + '.'); time.sleep(60)"
    stack = own_stack(parts=(), services=[service("mute", code, ready_within_s=2.0)])

    def forge():
        name = until(lambda: address.exists() and address.read_text().endswith(".") and address.read_text()[:-1])
        Notifier({"NOTIFY_SOCKET": name}).ready("I am the service")

    forger = threading.Thread(target=forge)
    forger.start()
    with pytest.raises(StartFailed, match="mute was not ready after 2 s"):
        stack.start()
    forger.join()


SUPERVISOR = """
import os, sys
from pathlib import Path
from pipeline.process.signals import StopSignal
from pipeline.settings import Settings, StackSettings
from pipeline.stack.parts import Options
from pipeline.stack.process import Process
from pipeline.stack.serve import serve
from pipeline.stack.stack import Stack
code, directory = sys.argv[1], sys.argv[2]
def one(name):
    return Process(name=name, argv=(sys.executable, "-c", code), directory=Path(), environment=dict(os.environ), grace_s=2.0)
stack = Stack(Settings(stack=StackSettings(data_directory=directory)), services=[one("one"), one("two")],
              environment=os.environ, options=Options(parts=()), command="the first one")
stop = StopSignal(); stop.install()
serve(stack, stop=stop, announce=lambda where: print("ready", flush=True))
"""


@pytest.fixture
def supervisor(own_stack):
    """Another supervisor in a process of its own; yields it and its data directory."""
    directory = own_stack(parts=()).directory
    argv = [sys.executable, "-c", SUPERVISOR, GOOD, str(directory.path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment) as process:
        while process.stdout.readline() not in ("ready\n", ""):
            pass
        yield process, directory
        process.kill()
    leftovers.clean_up(directory)


def pids(directory: DataDirectory) -> dict[str, int]:
    return {one.name: one.pid for one in leftovers.recorded(directory)}


def test_a_second_start_says_who_holds_the_directory(supervisor, own_stack):
    process, directory = supervisor
    with pytest.raises(Misconfigured) as caught, directory.locked(command="the second one"):
        pass
    assert str(caught.value) == f"{directory.path} is in use by process {process.pid} (the first one)"
    assert f"kill {process.pid}" in caught.value.fix


def test_children_end_when_their_supervisor_is_killed(supervisor):
    process, directory = supervisor
    children = pids(directory)
    assert set(children) == {"one", "two"}
    process.kill()
    until(lambda: all(identity.identity(pid) is None for pid in children.values()))


def test_what_a_killed_supervisor_left_frozen_is_ended_by_the_next_start(supervisor):
    process, directory = supervisor
    frozen = pids(directory)["one"]
    os.kill(frozen, signal.SIGSTOP)
    process.kill()
    process.wait()
    assert identity.identity(frozen) is not None
    with directory.locked(command="the second one"):
        assert "one" in leftovers.clean_up(directory, grace_s=2.0)
    assert identity.identity(frozen) is None


def test_a_stale_lock_and_a_pid_that_now_belongs_to_somebody_else_do_no_harm(own_stack):
    directory = own_stack(parts=()).directory
    directory.prepare()
    me = identity.identity(os.getpid())
    directory.lock_file.write_text(json.dumps({"pid": me.pid, "start": me.start - 1, "boot": me.boot, "command": "gone"}))
    leftovers.record(directory, [Recorded(name="old", state="ready", pid=me.pid, start=me.start - 1, boot=me.boot)])
    assert directory.holder() is None
    with directory.locked(command="now"):
        assert leftovers.clean_up(directory) == []
        assert directory.holder().command == "now"


def test_down_ends_the_supervisor_and_all_that_it_runs(supervisor):
    process, directory = supervisor
    children = pids(directory)
    now = running(directory)
    assert (now.holder.who.pid, [one.state for one in now.processes]) == (process.pid, ["ready", "ready"])
    assert stop_running(directory) is True
    assert process.wait(5) == 0
    assert [identity.identity(pid) for pid in children.values()] == [None, None]
    assert (running(directory), stop_running(directory)) == (None, False)


def test_ctrl_c_stops_everything_in_order(supervisor):
    process, directory = supervisor
    children = pids(directory)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert [identity.identity(pid) for pid in children.values()] == [None, None]
    assert leftovers.recorded(directory) == []
