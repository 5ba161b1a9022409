"""Status, doctor and check: what people on call look at first."""
