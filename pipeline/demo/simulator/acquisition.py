"""The rows of acquired images: pixels, channels, planes, and how they are shown first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.demo.simulator.call import Call

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0))
EMISSION_NM = (461.0, 509.0, 610.0, 670.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """How large each image is: pixels across, pixels down, channels, sections, time points."""

    size_x: int = 512
    size_y: int = 512
    channels: int = 2
    sections: int = 1
    timepoints: int = 1

    @property
    def planes(self) -> int:
        """Planes of an image, each with a row of its own."""
        return self.channels * self.sections * self.timepoints

    @property
    def log_rows(self) -> int:
        """Eventlog rows for one image: image, pixels, two for a channel, one for a plane."""
        return 2 + 2 * self.channels + self.planes


@dataclass(frozen=True, kw_only=True, slots=True)
class Acquired:
    """Ids of what was written, in the order of the names given."""

    images: list[int]
    pixels: list[int]
    channels: list[int]


def write_images(call: Call, names: Sequence[str], *, fileset_id: int, stack: Stack, stains: Sequence[str]) -> Acquired:
    """Write the images of one fileset."""
    shared = {
        "fileset": fileset_id,
        "acquisitiondate": call.now(),
        "partial": False,
        "archived": False,
        "format": call.row("SELECT id FROM format WHERE value = 'Deltavision'")[0],
    }
    images = call.insert_many("image", [{"name": name, "series": i, **shared} for i, name in enumerate(names)])
    pixels = _write_pixels(call, images, stack)
    channels = _write_channels(call, pixels, stack, stains)
    planes = [
        {"pixels": each, "thez": z, "thec": c, "thet": t, "exposuretime": 0.05, "exposuretimeunit": "s"}
        for each in pixels
        for t in range(stack.timepoints)
        for c in range(stack.channels)
        for z in range(stack.sections)
    ]
    call.insert_many("planeinfo", planes)
    return Acquired(images=images, pixels=pixels, channels=channels)


def _write_pixels(call: Call, images: Sequence[int], stack: Stack) -> list[int]:
    (order, pixels_type) = call.row(
        "SELECT (SELECT id FROM dimensionorder WHERE value = 'XYZCT'), (SELECT id FROM pixelstype WHERE value = 'uint16')"
    )
    shared = {
        "image_index": 0,
        "sha1": "Pending...",
        "sizex": stack.size_x,
        "sizey": stack.size_y,
        "sizez": stack.sections,
        "sizec": stack.channels,
        "sizet": stack.timepoints,
        "dimensionorder": order,
        "pixelstype": pixels_type,
        "physicalsizex": 0.107,
        "physicalsizexunit": "µm",
        "physicalsizey": 0.107,
        "physicalsizeyunit": "µm",
    }
    return call.insert_many("pixels", [{"image": image, **shared} for image in images])


def _write_channels(call: Call, pixels: Sequence[int], stack: Stack, stains: Sequence[str]) -> list[int]:
    where = [(each, c) for each in pixels for c in range(stack.channels)]
    logical = call.insert_many(
        "logicalchannel",
        [
            {
                "name": stains[c % len(stains)],
                "fluor": stains[c % len(stains)],
                "emissionwave": EMISSION_NM[c % 4],
                "emissionwaveunit": "nm",
            }
            for _, c in where
        ],
    )
    rows = []
    for (each, c), channel in zip(where, logical, strict=True):
        red, green, blue = COLOURS[c % 4]
        rows.append(
            {"pixels": each, "pixels_index": c, "logicalchannel": channel, "red": red, "green": green, "blue": blue, "alpha": 255}
        )
    return call.insert_many("channel", rows)


def write_statistics(call: Call, acquired: Acquired) -> None:
    """Write each channel's minimum and maximum, and the checksum that was pending; the channels' own rows change by raw SQL."""
    random = call.server.random
    ranges = [{"globalmin": 0.0, "globalmax": float(random.randrange(256, 65536))} for _ in acquired.channels]
    statistics = call.insert_many("statsinfo", ranges)
    call.execute(
        "UPDATE channel SET statsinfo = new.statistics FROM unnest(%s::int8[], %s::int8[]) AS new(channel, statistics)"
        " WHERE channel.id = new.channel",
        (acquired.channels, statistics),
    )
    for each in acquired.pixels:
        call.update("pixels", [each], sha1=f"{random.getrandbits(160):040x}")


def write_first_view(call: Call, acquired: Acquired) -> None:
    """Write how the images are shown, and their thumbnails."""
    (model, family) = call.row(
        "SELECT (SELECT id FROM renderingmodel WHERE value = 'rgb'), (SELECT id FROM family WHERE value = 'linear')"
    )
    quanta = call.insert_many("quantumdef", [{"bitresolution": 255, "cdstart": 0, "cdend": 255} for _ in acquired.pixels])
    views = call.insert_many(
        "renderingdef",
        [
            {"pixels": each, "quantization": quantum, "model": model, "defaultz": 0, "defaultt": 0}
            for each, quantum in zip(acquired.pixels, quanta, strict=True)
        ],
    )
    per_view = len(acquired.channels) // max(len(views), 1)
    bindings = [
        {
            "renderingdef": view,
            "renderingdef_index": c,
            "family": family,
            "active": c == 0,
            "alpha": 255,
            "red": 255,
            "green": 255,
            "blue": 255,
            "coefficient": 1.0,
            "inputstart": 0.0,
            "inputend": 4095.0,
            "noisereduction": False,
        }
        for view in views
        for c in range(per_view)
    ]
    call.insert_many("channelbinding", bindings)
    call.insert_many(
        "thumbnail", [{"pixels": each, "mimetype": "image/jpeg", "sizex": 96, "sizey": 96} for each in acquired.pixels]
    )
