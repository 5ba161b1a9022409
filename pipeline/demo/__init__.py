"""An OMERO-shaped database with a living facility in it."""
