"""What people do in OMERO, written to the database as the OMERO server writes it: one file per action."""
