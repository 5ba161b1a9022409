"""The only place that knows Faust: agents with deferred acknowledgement and a watchdog."""
