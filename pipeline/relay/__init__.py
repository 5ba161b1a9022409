"""From a captured eventlog row to a public event, and from events to work."""
