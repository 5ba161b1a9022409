"""What the documentation claims to be measured is what was measured."""

from __future__ import annotations

import json

import pytest

from benchmarks import results
from benchmarks.bars import at_least, at_most
from benchmarks.idle import named
from benchmarks.results import BEGIN, END, NAMES, tables, with_tables

RESULT = {
    "name": "relay",
    "ok": False,
    "bars": [at_least("drains", 0.7, 0.8, "of Debezium's rate"), at_most("its memory", 210, 250, "MB RSS")],
    "quick": False,
    "date": "2026-11-24 09:00 UTC",
    "machine": {"cpus": 2, "processor": "A|B", "memory_gb": 25.2, "load_average": 0.3},
    "revision": "abc1234",
}


def test_the_tables_in_the_documentation_say_what_the_kept_results_say():
    page = results.PAGE.read_text(encoding="utf-8")
    assert page == with_tables(page, results.kept_results())


@pytest.mark.parametrize("result", results.kept_results(), ids=lambda result: result["name"])
def test_a_kept_result_holds_its_bars_exactly_when_it_says_so(result):
    judged = [bar["value"] <= bar["bar"] if bar["at"] == "most" else bar["value"] >= bar["bar"] for bar in result["bars"]]
    assert [bar["ok"] for bar in result["bars"]] == judged
    assert result["ok"] == (all(judged) and "failed" not in result)


def test_every_benchmark_that_is_kept_is_one_that_can_be_run():
    assert {file.stem for file in results.FOLDER.glob("*.json")} <= set(NAMES)
    for name in NAMES:
        assert (results.FOLDER.parent / f"{name.replace('-', '_')}.py").exists()


def test_a_missed_bar_stands_in_the_table_as_missed():
    assert tables([RESULT]) == (
        "| benchmark | what | measured | bar | held |\n"
        "|---|---|---|---|---|\n"
        "| `relay` | drains | 0.7 of Debezium's rate | at least 0.8 | **no** |\n"
        "| `relay` | its memory | 210 MB RSS | at most 250 | yes |\n"
        "\n"
        "| benchmark | when | on | of |\n"
        "|---|---|---|---|\n"
        "| `relay` | 2026-11-24 09:00 UTC | 2 x A\\|B, 25.2 GB, load 0.3 | `abc1234` |\n"
    )


def test_a_quick_run_is_marked_and_one_that_failed_is_not_left_out():
    failed = {**RESULT, "bars": [], "failed": "ended with status 1: TimeoutError", "quick": True}
    assert tables([failed]).splitlines()[2] == (
        "| `relay` (quick) | did not finish: ended with status 1: TimeoutError | | | **no** |"
    )


def test_what_people_wrote_around_the_tables_stays():
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert with_tables(page, []) == f"before\n{BEGIN}\n\n{tables([])}\n{END}\nafter\n"


def test_a_page_without_a_place_for_the_tables_is_an_error():
    with pytest.raises(ValueError, match=r"performance\.md lacks the lines"):
        with_tables("nothing here", [])


def test_keeping_a_result_writes_its_file_and_the_page(tmp_path, monkeypatch):
    page = tmp_path / "performance.md"
    page.write_text(f"{BEGIN}\n{END}\n")
    monkeypatch.setattr(results, "FOLDER", tmp_path / "results")
    monkeypatch.setattr(results, "PAGE", page)
    results.keep({"name": "idle", "ok": True, "bars": [at_most("all", 505, 1500, "MB PSS")], "quick": True})
    kept = json.loads((tmp_path / "results" / "idle.json").read_text())
    assert {key: kept[key] for key in ("name", "ok", "quick")} == {"name": "idle", "ok": True, "quick": True}
    assert kept["machine"]["cpus"] > 0
    assert "| `idle` (quick) | all | 505 MB PSS | at most 1,500 | yes |" in page.read_text()


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["/usr/bin/java", "-cp", "libs/*", "kafka.Kafka", "server.properties"], "Kafka"),
        (["java", "org.apache.kafka.connect.cli.ConnectDistributed", "w"], "Kafka Connect with Debezium"),
        (["postgres: walsender omero_cdc 127.0.0.1(39740)"], "PostgreSQL"),
        (["/usr/lib/postgresql/15/bin/postgres", "-D", "x"], "PostgreSQL"),
        (["python3", "-m", "pipeline", "run", "relay"], "relay"),
        (["python3", "-m", "pipeline", "--json", "up"], "supervisor"),
        (["cat", "file"], "cat file"),
    ],
)
def test_a_process_is_named_for_people(words, name):
    assert named(words) == name
