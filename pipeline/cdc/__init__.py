"""Change data capture: connectors on Kafka Connect, their slots, and the repair after a lost one."""
