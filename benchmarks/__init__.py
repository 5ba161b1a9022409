"""Programs that measure what the documentation claims; each prints one JSON object as its last line."""
