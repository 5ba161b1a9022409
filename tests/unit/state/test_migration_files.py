"""The migration files themselves."""

import pytest

from pipeline.state.migrate import migration, shipped

TEXT = "-- compatible_from: 1\nSELECT 1;\n"


def test_shipped_migrations_are_numbered_without_gaps_and_each_keeps_the_program_before_it_working():
    steps = shipped()
    assert [step.version for step in steps] == list(range(1, len(steps) + 1))
    assert all(step.compatible_from <= max(1, step.version - 1) for step in steps)


def test_windows_line_ends_are_no_edit():
    assert migration("0001_a.sql", TEXT.replace("\n", "\r\n")) == migration("0001_a.sql", TEXT)


def test_another_text_has_another_checksum():
    assert migration("0001_a.sql", TEXT).checksum != migration("0001_a.sql", TEXT + "SELECT 2;\n").checksum


@pytest.mark.parametrize(("name", "text"), [("1_a.sql", TEXT), ("0001_A.sql", TEXT), ("0001_a.sql", "SELECT 1;")])
def test_a_migration_without_number_or_compatibility_is_refused(name, text):
    with pytest.raises(ValueError, match=r"not NNNN_words.sql with a line"):
        migration(name, text)
