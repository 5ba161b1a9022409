"""What a small installation's state database holds, and how the dump of a release is made from it.

Run with a DSN, it makes one::

    createdb sample && python tests/integration/state/sample.py dbname=sample
    pg_dump --schema=omero_mq --inserts --no-owner --no-privileges sample > tests/integration/state/released/X.Y.Z.sql
"""

import sys

import psycopg

ROWS = """
INSERT INTO omero_mq.gates VALUES
    ('relay', 'closed', 'breaker', 'relay@host:17', '21 letters in 5 min', 1795500000000, NULL, 1795499700000),
    ('documents', 'open', 'person', 'ada', 'fixed', NULL, 7, 1795499000000);
INSERT INTO omero_mq.gate_history (consumer, state, by, actor, reason, until_ms, probes_left, changed_at_ms) VALUES
    ('documents', 'closed', 'person', 'ada', 'upgrade of Å', NULL, NULL, 1795498000000),
    ('documents', 'open', 'person', 'ada', 'fixed', NULL, 7, 1795499000000),
    ('relay', 'closed', 'breaker', 'relay@host:17', '21 letters in 5 min', 1795500000000, NULL, 1795499700000);
INSERT INTO omero_mq.epochs VALUES
    (1, '7300000000000000001', '00000001', 16384, 16999, 'u-1', '2026-11-01 10:00:00+00', 'relay', 'first start'),
    (2, '7300000000000000001', '00000002', 16384, 16999, 'u-1', '2026-11-20 12:30:00+00', 'ada', 'failed over');
INSERT INTO omero_mq.epoch_boundaries VALUES (2, 'omero.eventlog', 0, 120), (2, 'omero.eventlog', 1, 0);
INSERT INTO omero_mq.last_known (id, owner_id, group_id, parent, child, gone_at, kind) VALUES
    (42, 52, 103, NULL, NULL, NULL, 'image'),
    (43, 52, 103, NULL, NULL, '2026-11-21 08:00:00+00', 'image'),
    (4, NULL, NULL, 103, 52, NULL, 'groupexperimentermap');
INSERT INTO omero_mq.last_known_fill VALUES
    ('image', 43, 2, '2026-11-20 12:31:00+00', '2026-11-20 12:31:00+00'),
    ('roi', 900, 500, '2026-11-20 12:31:01+00', NULL);
INSERT INTO omero_mq.outbox (topic, key, value, header_names, header_values, order_key, created_at) VALUES
    ('omero.job-events', 'job 1', '\\x00ff', '{ce_id,none}', ARRAY['1'::bytea, NULL], 'job 1', '2026-11-21 09:00:00+00'),
    ('omero.job-events', 'job 2', 'v', '{}', '{}', 'job 2', '2026-11-21 09:00:01+00');
UPDATE omero_mq.outbox SET parked_at = '2026-11-21 09:00:02+00', parked_reason = 'too large' WHERE id = 2;
"""


def fill(connection: psycopg.Connection) -> None:
    connection.execute(ROWS)


if __name__ == "__main__":
    from pipeline.state.migrate import migrate

    with psycopg.connect(sys.argv[1], autocommit=True) as target:
        migrate(target)
        fill(target)
