"""One file per service process, where adapters are made and joined."""
