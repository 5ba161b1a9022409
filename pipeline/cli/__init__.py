"""The command `omero-mq`, one module per noun."""
