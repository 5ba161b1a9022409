"""Which class stands behind a row: the names that OMERO's event log uses, and how OMERO writes permissions."""

from __future__ import annotations

CLASSES = {
    "channel": "ome.model.core.Channel",
    "channelbinding": "ome.model.display.ChannelBinding",
    "dataset": "ome.model.containers.Dataset",
    "experimenter": "ome.model.meta.Experimenter",
    "experimentergroup": "ome.model.meta.ExperimenterGroup",
    "fileset": "ome.model.fs.Fileset",
    "filesetentry": "ome.model.fs.FilesetEntry",
    "filesetjoblink": "ome.model.fs.FilesetJobLink",
    "folder": "ome.model.containers.Folder",
    "folderimagelink": "ome.model.containers.FolderImageLink",
    "folderroilink": "ome.model.containers.FolderRoiLink",
    "groupexperimentermap": "ome.model.meta.GroupExperimenterMap",
    "image": "ome.model.core.Image",
    "joboriginalfilelink": "ome.model.jobs.JobOriginalFileLink",
    "logicalchannel": "ome.model.core.LogicalChannel",
    "originalfile": "ome.model.core.OriginalFile",
    "pixels": "ome.model.core.Pixels",
    "planeinfo": "ome.model.core.PlaneInfo",
    "plate": "ome.model.screen.Plate",
    "plateacquisition": "ome.model.screen.PlateAcquisition",
    "project": "ome.model.containers.Project",
    "quantumdef": "ome.model.display.QuantumDef",
    "renderingdef": "ome.model.display.RenderingDef",
    "roi": "ome.model.roi.Roi",
    "screen": "ome.model.screen.Screen",
    "session": "ome.model.meta.Session",
    "statsinfo": "ome.model.stats.StatsInfo",
    "thumbnail": "ome.model.display.Thumbnail",
    "well": "ome.model.screen.Well",
    "wellsample": "ome.model.screen.WellSample",
    "datasetimagelink": "ome.model.containers.DatasetImageLink",
    "projectdatasetlink": "ome.model.containers.ProjectDatasetLink",
    "screenplatelink": "ome.model.screen.ScreenPlateLink",
    "annotationannotationlink": "ome.model.annotations.AnnotationAnnotationLink",
    "datasetannotationlink": "ome.model.annotations.DatasetAnnotationLink",
    "imageannotationlink": "ome.model.annotations.ImageAnnotationLink",
    "plateannotationlink": "ome.model.annotations.PlateAnnotationLink",
    "projectannotationlink": "ome.model.annotations.ProjectAnnotationLink",
    "screenannotationlink": "ome.model.annotations.ScreenAnnotationLink",
    "wellannotationlink": "ome.model.annotations.WellAnnotationLink",
}

ANNOTATION_CLASSES = {
    "/basic/text/comment/": "ome.model.annotations.CommentAnnotation",
    "/basic/text/tag/": "ome.model.annotations.TagAnnotation",
    "/basic/text/xml/": "ome.model.annotations.XmlAnnotation",
    "/basic/num/long/": "ome.model.annotations.LongAnnotation",
    "/basic/num/double/": "ome.model.annotations.DoubleAnnotation",
    "/basic/bool/": "ome.model.annotations.BooleanAnnotation",
    "/basic/time/": "ome.model.annotations.TimestampAnnotation",
    "/basic/term/": "ome.model.annotations.TermAnnotation",
    "/list/": "ome.model.annotations.ListAnnotation",
    "/map/": "ome.model.annotations.MapAnnotation",
    "/type/OriginalFile/": "ome.model.annotations.FileAnnotation",
}

SHAPE_CLASSES = {"rect": "ome.model.roi.Rectangle", "ellipse": "ome.model.roi.Ellipse", "point": "ome.model.roi.Point"}

JOB_CLASSES = {
    "uploadjob": "ome.model.jobs.UploadJob",
    "metadataimportjob": "ome.model.jobs.MetadataImportJob",
    "pixeldatajob": "ome.model.jobs.PixelDataJob",
    "thumbnailgenerationjob": "ome.model.jobs.ThumbnailGenerationJob",
    "indexingjob": "ome.model.jobs.IndexingJob",
    "scriptjob": "ome.model.jobs.ScriptJob",
}

# Rows that belong to nobody: no owner, no group, no events of their own.
GLOBALS = frozenset({"experimenter", "experimentergroup", "groupexperimentermap", "session", "node", "namespace"})

PERMISSIONS = {"rw----": -120, "rwr---": -56, "rwra--": -40, "rwrw--": -8, "rwr-r-": -52, "rwrara": -35}
LOG_PERMISSIONS = PERMISSIONS["rwrara"]  # of rows that the server writes to eventlog

TAG = "/basic/text/tag/"
TAG_SET_NAMESPACE = "openmicroscopy.org/omero/insight/tagset"
RATING_NAMESPACE = "openmicroscopy.org/omero/insight/rating"
MAP_NAMESPACE = "openmicroscopy.org/omero/client/mapAnnotation"


def named(class_name: str, entity_id: int) -> str:
    """``Image:42`` for ``ome.model.core.Image`` and 42."""
    return f"{class_name.rpartition('.')[2]}:{entity_id}"
