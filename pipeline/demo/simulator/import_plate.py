"""Somebody imports a plate: 10^4 to 10^6 eventlog rows in one event and one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.demo.simulator.acquisition import Acquired, Stack, write_images
from pipeline.demo.simulator.call import Call
from pipeline.demo.simulator.entities import CLASSES, named
from pipeline.demo.simulator.history import Actor, Done
from pipeline.demo.simulator.names import STAINS
from pipeline.demo.simulator.server import Server
from pipeline.demo.simulator.upload import finish, prepare, receive

IMPORTED = "import plate"


@dataclass(frozen=True, kw_only=True, slots=True)
class PlateSize:
    """Wells in rows and columns, fields in each well, and the image of a field."""

    rows: int = 8
    columns: int = 12
    fields: int = 2
    stack: Stack = field(default_factory=lambda: Stack(channels=3))

    @property
    def images(self) -> int:
        """Images on the plate."""
        return self.rows * self.columns * self.fields

    @property
    def log_rows(self) -> int:
        """Eventlog rows of the transaction ``import plate``."""
        others = 3  # the plate, its acquisition, the finished job
        return self.images * (self.stack.log_rows + 1) + self.rows * self.columns + others

    @classmethod
    def at_least(cls, log_rows: int) -> PlateSize:
        """A 384-well plate with as many fields as make at least so many eventlog rows."""
        stack = Stack(channels=3, sections=6)
        wells = 16 * 24
        fields = max(1, -(-(log_rows - wells - 3) // (wells * (stack.log_rows + 1))))
        return cls(rows=16, columns=24, fields=fields, stack=stack)


def import_plate(
    server: Server, actor: Actor, name: str, *, size: PlateSize | None = None, screen_id: int | None = None
) -> Iterator[Done]:
    """Three transactions, and a fourth if it goes into a screen; the third makes the plate and is called ``import plate``."""
    size = size or PlateSize()
    with server.call(actor) as call:
        upload = prepare(call, [f"{name}.xml"])
    yield call.done("start upload", named(CLASSES["fileset"], upload.fileset_id))
    with server.call(actor) as call:
        receive(call, upload)
    yield call.done("end upload", named(CLASSES["fileset"], upload.fileset_id))
    with server.call(actor) as call:
        plate_id = _write_plate(call, name, size, upload.fileset_id)
        finish(call, upload, "metadataimportjob")
    plate = named(CLASSES["plate"], plate_id)
    yield call.done(IMPORTED, plate, named(CLASSES["fileset"], upload.fileset_id))
    if screen_id is not None:
        with server.call(actor) as call:
            call.insert("screenplatelink", parent=screen_id, child=plate_id)
        yield call.done("put into", named(CLASSES["screen"], screen_id), plate)


def _write_plate(call: Call, name: str, size: PlateSize, fileset_id: int) -> int:
    plate_id = call.insert(
        "plate",
        name=name,
        description=None,
        columns=size.columns,
        rows=size.rows,
        columnnamingconvention="number",
        rownamingconvention="letter",
        defaultsample=0,
        externalidentifier=call.server.uuid()[:8],
    )
    run_id = call.insert("plateacquisition", plate=plate_id, name="Run 1", maximumfieldcount=size.fields, starttime=call.now())
    places = [(row, column) for row in range(size.rows) for column in range(size.columns)]
    wells = call.insert_many("well", [{"plate": plate_id, "row": row, "column": column} for row, column in places])
    labels = [f"Well {chr(ord('A') + row)}-{column + 1}" for row, column in places]
    names = [f"{name} [{label}; Field #{number + 1}]" for label in labels for number in range(size.fields)]
    acquired = write_images(call, names, fileset_id=fileset_id, stack=size.stack, stains=STAINS)
    _write_fields(call, wells, acquired, run_id, size.fields)
    return plate_id


def _write_fields(call: Call, wells: list[int], acquired: Acquired, run_id: int, fields: int) -> None:
    call.insert_many(
        "wellsample",
        [
            {"well": wells[i // fields], "well_index": i % fields, "image": image, "plateacquisition": run_id}
            for i, image in enumerate(acquired.images)
        ],
    )
