"""Every change to an OMERO database as an event on Kafka."""

__version__ = "0.1.0"
