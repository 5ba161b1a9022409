"""A living facility: groups of four kinds, users who log in and work, so many actions a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from pipeline.demo.database import Secrets
from pipeline.demo.simulator import names
from pipeline.demo.simulator.change_password import change_password
from pipeline.demo.simulator.chgrp import chgrp
from pipeline.demo.simulator.chmod import chmod_by_admin_service, chmod_by_request
from pipeline.demo.simulator.clock import Clock, wall_clock
from pipeline.demo.simulator.comment import comment
from pipeline.demo.simulator.create_group import create_group
from pipeline.demo.simulator.create_user import create_user
from pipeline.demo.simulator.delete import delete
from pipeline.demo.simulator.draw_roi import draw_roi
from pipeline.demo.simulator.entities import MAP_NAMESPACE, PERMISSIONS, TAG, TAG_SET_NAMESPACE
from pipeline.demo.simulator.folder import create_folder
from pipeline.demo.simulator.history import Actor, Done
from pipeline.demo.simulator.import_image import import_image
from pipeline.demo.simulator.import_plate import PlateSize, import_plate
from pipeline.demo.simulator.login import login
from pipeline.demo.simulator.map_annotation import add_key_values, edit_key_values
from pipeline.demo.simulator.membership import join_group, set_leader
from pipeline.demo.simulator.note_reindex import note_reindex
from pipeline.demo.simulator.organise import create_container, put_into
from pipeline.demo.simulator.rate import rate
from pipeline.demo.simulator.rename import rename
from pipeline.demo.simulator.request_pyramid import request_pyramid
from pipeline.demo.simulator.run_script import run_script
from pipeline.demo.simulator.server import Server
from pipeline.demo.simulator.tag import add_new_tag, add_tag, gather_tags, remove_tag, reword_tag

GROUP_KINDS = ("rwra--", "rw----", "rwr---", "rwrw--")
RECENT = 40  # people work on what came last

# How often each thing is done, in relation to the others.
WEIGHTS: Mapping[str, float] = {
    "import image": 20,
    "rename": 16,
    "tag": 10,
    "new tag": 6,
    "add key-values": 8,
    "edit key-values": 8,
    "comment": 8,
    "rate": 5,
    "draw ROI": 5,
    "create dataset": 3,
    "create project": 1,
    "create folder": 2,
    "untag": 2,
    "reword tag": 1,
    "gather tags": 1,
    "delete image": 3,
    "chgrp": 2,
    "chmod": 0.7,
    "run script": 2,
    "request pyramid": 3,
    "log in": 3,
    "join group": 0.5,
    "lead group": 0.5,
    "import plate": 0.5,
    "change password": 0.3,
    "note reindex": 3,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How large a facility is, and what a plate in it is like."""

    users: int = 6
    groups: int = 4
    plate: PlateSize = field(default_factory=lambda: PlateSize(rows=2, columns=3, fields=1))


class Facility:
    """People at work in one database. What they work on is chosen from what is there, so any OMERO-shaped content will do."""

    def __init__(self, server: Server, *, size: Size | None = None, weights: Mapping[str, float] = WEIGHTS) -> None:
        unknown = sorted(set(weights) - set(WEIGHTS))
        if unknown:
            raise ValueError(f"the facility knows no action {unknown[0]!r}; it knows: {', '.join(WEIGHTS)}")
        self.server = server
        self.size = size or Size()
        self._weights = dict(weights)
        self._random = server.random
        self._groups: list[int] = []
        self._actors: list[Actor] = []
        self._deeds: dict[str, Callable[[Actor], Iterator[Done] | Done | None]] = {
            "import image": self._import_image,
            "rename": self._rename,
            "tag": self._tag,
            "new tag": self._new_tag,
            "add key-values": self._add_key_values,
            "edit key-values": self._edit_key_values,
            "comment": self._comment,
            "rate": self._rate,
            "draw ROI": self._draw_roi,
            "create dataset": self._create_dataset,
            "create project": self._create_project,
            "create folder": self._create_folder,
            "untag": self._untag,
            "reword tag": self._reword_tag,
            "gather tags": self._gather_tags,
            "delete image": self._delete_image,
            "chgrp": self._chgrp,
            "chmod": self._chmod,
            "run script": self._run_script,
            "request pyramid": self._request_pyramid,
            "log in": self._log_in,
            "join group": self._join_group,
            "lead group": self._lead_group,
            "import plate": self._import_plate,
            "change password": self._change_password,
            "note reindex": lambda _: note_reindex(server),
        }

    def settle(self) -> Iterator[Done]:
        """Make groups and users that are not there yet, and log everybody in."""
        for index in range(self.size.groups):
            name = names.group_name(index)
            known = self._ids("SELECT id FROM experimentergroup WHERE name = %s", name)
            if not known:
                done = create_group(self.server, name, GROUP_KINDS[index % len(GROUP_KINDS)])
                known = [done.object_id]
                yield done
            self._groups += known
        for index in range(self.size.users):
            user, first, last = names.user_name(index)
            if not self._ids("SELECT id FROM experimenter WHERE omename = %s", user):
                yield from self._hire(index, user, first, last)
            done = login(self.server, user)
            self._actors.append(done.actor)
            yield done

    def _hire(self, index: int, user: str, first: str, last: str) -> Iterator[Done]:
        home = self._groups[index % len(self._groups)]
        created, password = create_user(self.server, user, first, last, group_id=home)
        yield created
        yield password
        if len(self._groups) > 1:
            second = self._groups[(index + 1) % len(self._groups)]
            yield join_group(self.server, int(created.objects[0].rpartition(":")[2]), second)

    def work(
        self, actions: int | None = None, *, rate_per_s: float = 0.0, sleep: Callable[[float], None] = time.sleep
    ) -> Iterator[Done]:
        """Do one thing after another; an import or a script is several transactions, each of them yielded.

        Args:
            actions: how many things are done; None for no end.
            rate_per_s: how many are begun a second, on a steady beat; 0 for as fast as it goes [1/s].
            sleep: how to wait [s].
        """
        begun = time.monotonic()
        count = 0
        while actions is None or count < actions:
            if rate_per_s > 0:
                wait = begun + count / rate_per_s - time.monotonic()
                if wait > 0:
                    sleep(wait)
            count += 1
            yield from self.act()

    def act(self) -> Iterator[Done]:
        """One thing that somebody does."""
        actor = self._random.choice(self.people)
        name = self._random.choices(list(self._weights), list(self._weights.values()))[0]
        return self.do(name, actor)

    def do(self, name: str, actor: Actor) -> Iterator[Done]:
        """A certain thing, done by one of `people`. What there is nothing to do to becomes an import."""
        result = self._deeds[name](actor)
        if result is None:
            result = self._import_image(actor)
        yield from [result] if isinstance(result, Done) else result

    @property
    def people(self) -> list[Actor]:
        """Everybody who is logged in."""
        if not self._actors:
            raise RuntimeError("nobody has settled in the facility yet")
        return self._actors

    # -- what is there to work on ----------------------------------------------------------------------------------------

    def _ids(self, statement: str, *parameters: object) -> list[int]:
        found = [row[0] for row in self.server.connection.execute(statement.encode(), parameters)]
        self.server.connection.rollback()
        return found

    def _recent(self, actor: Actor, table: str, condition: str = "true", *parameters: object) -> int | None:
        query = f"SELECT id FROM {table} WHERE owner_id = %s AND group_id = %s AND {condition} ORDER BY id DESC LIMIT {RECENT}"
        found = self._ids(query, actor.user_id, actor.group_id, *parameters)
        return self._random.choice(found) if found else None

    def _image(self, actor: Actor) -> int | None:
        return self._recent(actor, "image", "NOT EXISTS (SELECT FROM wellsample WHERE wellsample.image = image.id)")

    def _own_tag(self, actor: Actor) -> int | None:
        return self._recent(actor, "annotation", "discriminator = %s AND ns IS DISTINCT FROM %s", TAG, TAG_SET_NAMESPACE)

    # -- what people do --------------------------------------------------------------------------------------------------

    def _import_image(self, actor: Actor) -> Iterator[Done]:
        return import_image(self.server, actor, dataset_id=self._recent(actor, "dataset"))

    def _import_plate(self, actor: Actor) -> Iterator[Done]:
        name = f"Plate {self._random.randrange(1, 1000)}"
        return import_plate(self.server, actor, name, size=self.size.plate, screen_id=self._recent(actor, "screen"))

    def _rename(self, actor: Actor) -> Done | None:
        image = self._image(actor)
        return rename(self.server, actor, "image", image, names.image_name(self._random)) if image else None

    def _new_tag(self, actor: Actor) -> Done | None:
        image = self._image(actor)
        return add_new_tag(self.server, actor, names.one(self._random, names.TAGS), [image]) if image else None

    def _tag(self, actor: Actor) -> Done | None:
        image, tag = self._image(actor), self._own_tag(actor)
        if not image or not tag:
            return None
        mine = "SELECT id FROM imageannotationlink WHERE parent = %s AND child = %s AND owner_id = %s"
        if self._ids(mine, image, tag, actor.user_id):
            return remove_tag(self.server, actor, tag, image)
        return add_tag(self.server, actor, tag, [image])

    def _untag(self, actor: Actor) -> Done | None:
        worn = "EXISTS (SELECT FROM imageannotationlink WHERE child = annotation.id) AND discriminator = %s"
        tag = self._recent(actor, "annotation", worn, TAG)
        if not tag:
            return None
        parents = self._ids("SELECT parent FROM imageannotationlink WHERE child = %s ORDER BY id", tag)
        return remove_tag(self.server, actor, tag, self._random.choice(parents))

    def _reword_tag(self, actor: Actor) -> Done | None:
        tag = self._own_tag(actor)
        return reword_tag(self.server, actor, tag, names.one(self._random, names.TAGS)) if tag else None

    def _gather_tags(self, actor: Actor) -> Done | None:
        tag = self._own_tag(actor)
        return gather_tags(self.server, actor, names.one(self._random, names.STAINS), [tag]) if tag else None

    def _add_key_values(self, actor: Actor) -> Done | None:
        image = self._image(actor)
        pairs = names.key_values(self._random, self._random.randrange(1, 5))
        return add_key_values(self.server, actor, pairs, image) if image else None

    def _edit_key_values(self, actor: Actor) -> Done | None:
        pairs = names.key_values(self._random, self._random.randrange(1, 5))
        found = self._recent(actor, "annotation", "discriminator = '/map/' AND ns = %s", MAP_NAMESPACE)
        return edit_key_values(self.server, actor, found, pairs) if found else None

    def _comment(self, actor: Actor) -> Done | None:
        image = self._image(actor)
        return comment(self.server, actor, names.one(self._random, names.REMARKS), image) if image else None

    def _rate(self, actor: Actor) -> Done | None:
        image = self._image(actor)
        return rate(self.server, actor, image, self._random.randrange(1, 6)) if image else None

    def _draw_roi(self, actor: Actor) -> Done | None:
        image = self._image(actor)
        return draw_roi(self.server, actor, image, shapes=self._random.randrange(1, 4)) if image else None

    def _create_dataset(self, actor: Actor) -> Done:
        return create_container(self.server, actor, "dataset", f"{names.one(self._random, names.SPECIMENS)} series")

    def _create_project(self, actor: Actor) -> Iterator[Done]:
        dataset = self._recent(actor, "dataset")
        project = create_container(self.server, actor, "project", f"{names.one(self._random, names.STAINS)} project")
        yield project
        if dataset:
            yield put_into(self.server, actor, ("project", project.object_id), "dataset", [dataset])

    def _create_folder(self, actor: Actor) -> Done | None:
        roi = self._recent(actor, "roi")
        return create_folder(self.server, actor, f"{names.one(self._random, names.SPECIMENS)} cells", rois=[roi]) if roi else None

    def _delete_image(self, actor: Actor) -> Done | None:
        image = self._image(actor)
        return delete(self.server, actor, "image", [image]) if image else None

    def _chgrp(self, actor: Actor) -> Done | None:
        image = self._image(actor)
        member = "SELECT parent FROM groupexperimentermap WHERE child = %s AND parent <> ALL (%s) ORDER BY parent"
        others = self._ids(member, actor.user_id, [actor.group_id, 0, 1, 2])
        return chgrp(self.server, actor, "image", [image], self._random.choice(others)) if image and others else None

    def _chmod(self, actor: Actor) -> Done:
        kinds = [kind for kind in GROUP_KINDS if PERMISSIONS[kind] != self._permissions(actor.group_id)]
        way = self._random.choice((chmod_by_admin_service, chmod_by_request))
        return way(self.server, actor.group_id, self._random.choice(kinds))

    def _permissions(self, group_id: int) -> int:
        return self._ids("SELECT permissions FROM experimentergroup WHERE id = %s", group_id)[0]

    def _run_script(self, actor: Actor) -> Iterator[Done]:
        outcome, message = self._random.choice(
            (("Finished", ""), ("Finished", ""), ("Error", "Traceback (most recent call last)"))
        )
        return run_script(self.server, actor, "Batch_Image_Export.py", outcome=outcome, message=message)

    def _request_pyramid(self, actor: Actor) -> Done | None:
        pixels = self._recent(actor, "pixels")
        return request_pyramid(self.server, actor, pixels) if pixels else None

    def _log_in(self, actor: Actor) -> Done:
        done = login(self.server, actor.name)
        self._actors[self._actors.index(actor)] = done.actor
        return done

    def _join_group(self, actor: Actor) -> Done | None:
        mine = self._ids("SELECT parent FROM groupexperimentermap WHERE child = %s", actor.user_id)
        groups = [group for group in self._groups if group not in mine]
        return join_group(self.server, actor.user_id, self._random.choice(groups)) if groups else None

    def _lead_group(self, actor: Actor) -> Done:
        return set_leader(self.server, actor.user_id, actor.group_id, leader=self._random.choice((True, False)))

    def _change_password(self, actor: Actor) -> Done:
        return change_password(self.server, actor.user_id, by=actor)


def run(
    conninfo: str,
    *,
    seed: int,
    actions: int | None = None,
    rate_per_s: float = 0.0,
    size: Size | None = None,
    weights: Mapping[str, float] = WEIGHTS,
    clock: Clock = wall_clock,
    secrets: Secrets | None = None,
) -> Iterator[Done]:
    """Settle a facility in the database and let it live; each committed transaction is yielded.

    Same seed, same clock, same database to begin with: same rows. The connection closes with the iterator.
    """
    with Server.connect(conninfo, seed=seed, clock=clock, secrets=secrets) as server:
        facility = Facility(server, size=size, weights=weights)
        yield from facility.settle()
        yield from facility.work(actions, rate_per_s=rate_per_s)
