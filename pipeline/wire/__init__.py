"""Everything on the wire: topics, messages and their schemas, codecs, and the table of consumers."""
