"""Our own PostgreSQL database: pool, migrations, gates, last-known table, outbox."""
