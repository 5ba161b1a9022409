"""Somebody imports a file with one image: upload, metadata, statistics and first view, in a call each."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.demo.simulator.acquisition import Stack, write_first_view, write_images, write_statistics
from pipeline.demo.simulator.entities import CLASSES, named
from pipeline.demo.simulator.history import Actor, Done
from pipeline.demo.simulator.names import STAINS, image_name
from pipeline.demo.simulator.server import Server
from pipeline.demo.simulator.upload import MANAGED_REPOSITORY, finish, prepare, receive

IMPORTED = "import image"  # the action of the transaction that makes the image


def import_image(
    server: Server, actor: Actor, *, name: str = "", dataset_id: int | None = None, stack: Stack | None = None
) -> Iterator[Done]:
    """Four transactions; the third makes the image and is called ``import image``."""
    name = name or image_name(server.random)
    with server.call(actor) as call:
        upload = prepare(call, [name])
    yield call.done("start upload", named(CLASSES["fileset"], upload.fileset_id))
    with server.call(actor) as call:
        receive(call, upload)
    yield call.done("end upload", named(CLASSES["fileset"], upload.fileset_id))
    with server.call(actor) as call:
        stains = server.random.sample(STAINS, 3)
        acquired = write_images(call, [name], fileset_id=upload.fileset_id, stack=stack or Stack(), stains=stains)
        if dataset_id is not None:
            call.insert("datasetimagelink", parent=dataset_id, child=acquired.images[0])
        call.execute(
            "UPDATE pixels SET path = %s, name = %s, repo = %s WHERE id = ANY (%s)",
            (upload.path, name, MANAGED_REPOSITORY, acquired.pixels),
        )
        finish(call, upload, "metadataimportjob")
    image = named(CLASSES["image"], acquired.images[0])
    yield call.done(IMPORTED, image, named(CLASSES["pixels"], acquired.pixels[0]), named(CLASSES["fileset"], upload.fileset_id))
    with server.call(actor) as call:
        write_statistics(call, acquired)
        write_first_view(call, acquired)
        finish(call, upload, "thumbnailgenerationjob")
    yield call.done("view first", image)
