"""Real Kafka, PostgreSQL, Kafka Connect and the services as supervised child processes on this machine."""
