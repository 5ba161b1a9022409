"""All that is asked of OMERO's database, as SQL: entities, snapshots, epoch, grants."""
