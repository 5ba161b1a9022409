"""The only place that knows confluent-kafka: publish, read, administer, measure lag."""
