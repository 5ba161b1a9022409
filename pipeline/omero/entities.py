"""What the relay knows about OMERO's types: in which table an object's row is, whether it has an owner, and who wants to know."""

from __future__ import annotations

from dataclasses import dataclass


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


# Classes that share the table of their parent class; ids are unique within the table, so objects are known by table and id.
_SHARED = {
    "annotation": _words(
        "Annotation ListAnnotation TextAnnotation CommentAnnotation TagAnnotation XmlAnnotation NumericAnnotation LongAnnotation",
        "DoubleAnnotation BasicAnnotation BooleanAnnotation TimestampAnnotation TermAnnotation TypeAnnotation FileAnnotation",
        "MapAnnotation",
    ),
    "lightsource": _words("LightSource Arc Filament Laser LightEmittingDiode GenericExcitationSource"),
    "job": _words(
        "Job ImportJob IndexingJob IntegrityCheckJob MetadataImportJob ParseJob PixelDataJob ScriptJob ThumbnailGenerationJob",
        "UploadJob",
    ),
    "shape": _words("Shape Ellipse Label Line Mask Path Point Polygon Polyline Rectangle Rect"),
    "codomainmapcontext": _words("CodomainMapContext ContrastStretchingContext PlaneSlicingContext ReverseIntensityContext"),
    "session": _words("Session Share"),
}

_ANNOTATED = _words(
    "annotation channel dataset detector dichroic experimenter experimentergroup fileset filter folder image instrument",
    "lightpath lightsource namespace node objective originalfile planeinfo plate plateacquisition project reagent roi",
    "screen session shape well",
)
_TOLD = _words(
    "project dataset folder screen plate plateacquisition well image roi fileset originalfile reagent annotation job",
    "projectdatasetlink datasetimagelink folderimagelink folderroilink screenplatelink wellreagentlink",
)
# Parts of an image: they come and go with it, by the million, and nobody is told about each of them.
_PARTS = _words(
    "channel channelbinding codomainmapcontext detector detectorsettings dichroic experiment externalinfo filesetentry",
    "filesetjoblink filter filterset filtersetemissionfilterlink filtersetexcitationfilterlink imagingenvironment instrument",
    "joboriginalfilelink lightpath lightpathemissionfilterlink lightpathexcitationfilterlink lightsettings lightsource",
    "logicalchannel microbeammanipulation microscope objective objectivesettings otf pixels pixelsoriginalfilemap",
    "planeinfo projectiondef quantumdef renderingdef shape stagelabel statsinfo thumbnail transmittancerange wellsample",
)

MEMBERSHIP_TABLE = "groupexperimentermap"

# Tables whose objects people are told about: their last-known owner and group are kept, so that a delete or a move is told, too.
REMEMBERED_TABLES = _TOLD | {f"{name}annotationlink" for name in _ANNOTATED}

# Tables with owner_id and group_id in OMERO 5.4. All others have no owner (users, groups, enumerations), or are not known to us.
OWNED_TABLES = REMEMBERED_TABLES | _PARTS


@dataclass(frozen=True, kw_only=True, slots=True)
class EntityType:
    """One type of object, as eventlog names it.

    Attributes:
        name: the class without its package, as people write it: ``Image``.
        table: the table of its rows (that of its parent class where they share one).
        owned: whether its rows have an owner and a group; false for types that we do not know.
        remembered: whether its last-known owner and group (or the two sides of a membership) are kept.
    """

    name: str
    table: str
    owned: bool
    remembered: bool

    @property
    def is_membership(self) -> bool:
        """Whether it says who is in which group."""
        return self.table == MEMBERSHIP_TABLE


def entity_type(full_name: str) -> EntityType:
    """The type that ``eventlog.entitytype`` names, e.g. ``ome.model.core.Image``; one that we do not know has no owner."""
    name = full_name.rpartition(".")[2]
    table = next((table for table, names in _SHARED.items() if name in names), name.lower())
    known = full_name.startswith("ome.model.")
    return EntityType(
        name=name,
        table=table,
        owned=known and table in OWNED_TABLES,
        remembered=known and (table in REMEMBERED_TABLES or table == MEMBERSHIP_TABLE),
    )
