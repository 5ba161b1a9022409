-- What the first release needs: gates, epochs, the last-known table, the outbox.
-- compatible_from: 1

-- One gate per consumer. No row: open, and nobody ever touched it. Times in ms since 1970 UTC, as the programs compare them.
CREATE TABLE omero_mq.gates (
    consumer      text PRIMARY KEY,
    state         text    NOT NULL CHECK (state IN ('open', 'closed')),
    by            text    NOT NULL,
    actor         text    NOT NULL,
    reason        text    NOT NULL,
    until_ms      bigint,
    probes_left   integer CHECK (probes_left >= 0),
    changed_at_ms bigint  NOT NULL
);

-- Every state that a gate was brought into, oldest first by id.
CREATE TABLE omero_mq.gate_history (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer      text    NOT NULL,
    state         text    NOT NULL,
    by            text    NOT NULL,
    actor         text    NOT NULL,
    reason        text    NOT NULL,
    until_ms      bigint,
    probes_left   integer,
    changed_at_ms bigint  NOT NULL
);
CREATE INDEX gate_history_by_consumer ON omero_mq.gate_history (consumer, id);

-- Every identity of the OMERO database that a person, or the first start, has accepted; the highest number is the one that counts.
CREATE TABLE omero_mq.epochs (
    number       integer PRIMARY KEY CHECK (number >= 1),
    system       text        NOT NULL,
    timeline     text        NOT NULL,
    database_oid bigint      NOT NULL,
    eventlog_oid bigint      NOT NULL,
    omero_uuid   text        NOT NULL,
    accepted_at  timestamptz NOT NULL DEFAULT now(),
    accepted_by  text        NOT NULL,
    reason       text        NOT NULL
);

-- Records of a topic below the offset belong to an epoch before this one.
CREATE TABLE omero_mq.epoch_boundaries (
    epoch          integer NOT NULL REFERENCES omero_mq.epochs (number),
    topic          text    NOT NULL,
    "partition"    integer NOT NULL CHECK ("partition" >= 0),
    "offset"       bigint  NOT NULL CHECK ("offset" >= 0),
    PRIMARY KEY (epoch, topic, "partition")
);

-- Whose every object was when it was last seen. Built for 10^7 rows: fixed-width columns first, so that nothing is lost to alignment;
-- "C" collation, since a type's name is an identifier; a tenth of each page free, so that a move between groups rewrites a row inside
-- its page and touches no index; vacuum after 1 % dead rows, not after 20 %.
CREATE TABLE omero_mq.last_known (
    id       bigint NOT NULL,
    owner_id bigint,
    group_id bigint,
    parent   bigint,
    child    bigint,
    gone_at  timestamptz,
    kind     text COLLATE "C" NOT NULL,
    PRIMARY KEY (kind, id)
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.01, autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX last_known_gone ON omero_mq.last_known (gone_at) WHERE gone_at IS NOT NULL;

-- How far the first filling of each kind has come.
CREATE TABLE omero_mq.last_known_fill (
    kind        text COLLATE "C" PRIMARY KEY,
    last_id     bigint      NOT NULL,
    rows_read   bigint      NOT NULL,
    changed_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);

-- Records for Kafka that are published if and only if the transaction that wrote them commits. Mostly empty: vacuumed early.
CREATE TABLE omero_mq.outbox (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic         text        NOT NULL,
    key           bytea,
    value         bytea,
    header_names  text[]      NOT NULL DEFAULT '{}',
    header_values bytea[]     NOT NULL DEFAULT '{}',
    order_key     text        NOT NULL DEFAULT '',
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    parked_at     timestamptz,
    parked_reason text,
    retry         boolean     NOT NULL DEFAULT false,
    CHECK (cardinality(header_names) = cardinality(header_values)),
    CHECK ((parked_at IS NULL) = (parked_reason IS NULL))
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX outbox_due ON omero_mq.outbox (id) WHERE parked_at IS NULL;
CREATE INDEX outbox_parked ON omero_mq.outbox (order_key, id) WHERE parked_at IS NOT NULL;

CREATE FUNCTION omero_mq.outbox_written() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('omero_mq_outbox', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER outbox_written AFTER INSERT ON omero_mq.outbox
    FOR EACH STATEMENT EXECUTE FUNCTION omero_mq.outbox_written();
