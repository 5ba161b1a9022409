"""Epochs: when it is another database."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.errors import EpochChanged
from pipeline.omero.epoch import Epoch, differences, require_same

EPOCH = Epoch(system="7", timeline="00000001", database_oid=16384, eventlog_oid=17000, omero_uuid="abc")


def test_the_same_database_passes() -> None:
    require_same(EPOCH, replace(EPOCH))
    assert differences(EPOCH, replace(EPOCH)) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"system": "8"}, "system: was 7, is 8"),
        ({"timeline": "00000002"}, "timeline: was 00000001, is 00000002"),
        ({"database_oid": 9}, "database_oid: was 16384, is 9"),
        ({"eventlog_oid": 0}, "eventlog_oid: was 17000, is 0"),
        ({"omero_uuid": "xyz"}, "omero_uuid: was abc, is xyz"),
        ({"system": "8", "timeline": "0000000A"}, "system: was 7, is 8; timeline: was 00000001, is 0000000A"),
    ],
)
def test_another_database_stops_with_what_differs_and_what_to_do(change: dict[str, str | int], told: str) -> None:
    with pytest.raises(EpochChanged) as caught:
        require_same(EPOCH, replace(EPOCH, **change))
    assert told in str(caught.value)
    assert "omero-mq epoch accept" in caught.value.fix
