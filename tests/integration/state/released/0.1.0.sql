--
-- PostgreSQL database dump
--

\restrict lzh3k5D4U1lRxqgZMRkfzhSMT5GySpSzZyt1oFeksneQ2kBoQNIdlHTIIs9rYno

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: omero_mq; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA omero_mq;


--
-- Name: outbox_written(); Type: FUNCTION; Schema: omero_mq; Owner: -
--

CREATE FUNCTION omero_mq.outbox_written() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_notify('omero_mq_outbox', '');
    RETURN NULL;
END
$$;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: epoch_boundaries; Type: TABLE; Schema: omero_mq; Owner: -
--

CREATE TABLE omero_mq.epoch_boundaries (
    epoch integer NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    CONSTRAINT epoch_boundaries_offset_check CHECK (("offset" >= 0)),
    CONSTRAINT epoch_boundaries_partition_check CHECK ((partition >= 0))
);


--
-- Name: epochs; Type: TABLE; Schema: omero_mq; Owner: -
--

CREATE TABLE omero_mq.epochs (
    number integer NOT NULL,
    system text NOT NULL,
    timeline text NOT NULL,
    database_oid bigint NOT NULL,
    eventlog_oid bigint NOT NULL,
    omero_uuid text NOT NULL,
    accepted_at timestamp with time zone DEFAULT now() NOT NULL,
    accepted_by text NOT NULL,
    reason text NOT NULL,
    CONSTRAINT epochs_number_check CHECK ((number >= 1))
);


--
-- Name: gate_history; Type: TABLE; Schema: omero_mq; Owner: -
--

CREATE TABLE omero_mq.gate_history (
    id bigint NOT NULL,
    consumer text NOT NULL,
    state text NOT NULL,
    by text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    until_ms bigint,
    probes_left integer,
    changed_at_ms bigint NOT NULL
);


--
-- Name: gate_history_id_seq; Type: SEQUENCE; Schema: omero_mq; Owner: -
--

ALTER TABLE omero_mq.gate_history ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME omero_mq.gate_history_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: gates; Type: TABLE; Schema: omero_mq; Owner: -
--

CREATE TABLE omero_mq.gates (
    consumer text NOT NULL,
    state text NOT NULL,
    by text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    until_ms bigint,
    probes_left integer,
    changed_at_ms bigint NOT NULL,
    CONSTRAINT gates_probes_left_check CHECK ((probes_left >= 0)),
    CONSTRAINT gates_state_check CHECK ((state = ANY (ARRAY['open'::text, 'closed'::text])))
);


--
-- Name: last_known; Type: TABLE; Schema: omero_mq; Owner: -
--

CREATE TABLE omero_mq.last_known (
    id bigint NOT NULL,
    owner_id bigint,
    group_id bigint,
    parent bigint,
    child bigint,
    gone_at timestamp with time zone,
    kind text NOT NULL COLLATE pg_catalog."C"
)
WITH (fillfactor='90', autovacuum_vacuum_scale_factor='0.01', autovacuum_analyze_scale_factor='0.05');


--
-- Name: last_known_fill; Type: TABLE; Schema: omero_mq; Owner: -
--

CREATE TABLE omero_mq.last_known_fill (
    kind text NOT NULL COLLATE pg_catalog."C",
    last_id bigint NOT NULL,
    rows_read bigint NOT NULL,
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone
);


--
-- Name: migrations; Type: TABLE; Schema: omero_mq; Owner: -
--

CREATE TABLE omero_mq.migrations (
    version integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    compatible_from integer NOT NULL,
    applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    applied_by text DEFAULT CURRENT_USER NOT NULL
);


--
-- Name: outbox; Type: TABLE; Schema: omero_mq; Owner: -
--

CREATE TABLE omero_mq.outbox (
    id bigint NOT NULL,
    topic text NOT NULL,
    key bytea,
    value bytea,
    header_names text[] DEFAULT '{}'::text[] NOT NULL,
    header_values bytea[] DEFAULT '{}'::bytea[] NOT NULL,
    order_key text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    parked_at timestamp with time zone,
    parked_reason text,
    retry boolean DEFAULT false NOT NULL,
    CONSTRAINT outbox_check CHECK ((cardinality(header_names) = cardinality(header_values))),
    CONSTRAINT outbox_check1 CHECK (((parked_at IS NULL) = (parked_reason IS NULL)))
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='2000');


--
-- Name: outbox_id_seq; Type: SEQUENCE; Schema: omero_mq; Owner: -
--

ALTER TABLE omero_mq.outbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME omero_mq.outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Data for Name: epoch_boundaries; Type: TABLE DATA; Schema: omero_mq; Owner: -
--

INSERT INTO omero_mq.epoch_boundaries VALUES (2, 'omero.eventlog', 0, 120);
INSERT INTO omero_mq.epoch_boundaries VALUES (2, 'omero.eventlog', 1, 0);


--
-- Data for Name: epochs; Type: TABLE DATA; Schema: omero_mq; Owner: -
--

INSERT INTO omero_mq.epochs VALUES (1, '7300000000000000001', '00000001', 16384, 16999, 'u-1', '2026-11-01 10:00:00+00', 'relay', 'first start');
INSERT INTO omero_mq.epochs VALUES (2, '7300000000000000001', '00000002', 16384, 16999, 'u-1', '2026-11-20 12:30:00+00', 'ada', 'failed over');


--
-- Data for Name: gate_history; Type: TABLE DATA; Schema: omero_mq; Owner: -
--

INSERT INTO omero_mq.gate_history OVERRIDING SYSTEM VALUE VALUES (1, 'documents', 'closed', 'person', 'ada', 'upgrade of Å', NULL, NULL, 1795498000000);
INSERT INTO omero_mq.gate_history OVERRIDING SYSTEM VALUE VALUES (2, 'documents', 'open', 'person', 'ada', 'fixed', NULL, 7, 1795499000000);
INSERT INTO omero_mq.gate_history OVERRIDING SYSTEM VALUE VALUES (3, 'relay', 'closed', 'breaker', 'relay@host:17', '21 letters in 5 min', 1795500000000, NULL, 1795499700000);


--
-- Data for Name: gates; Type: TABLE DATA; Schema: omero_mq; Owner: -
--

INSERT INTO omero_mq.gates VALUES ('relay', 'closed', 'breaker', 'relay@host:17', '21 letters in 5 min', 1795500000000, NULL, 1795499700000);
INSERT INTO omero_mq.gates VALUES ('documents', 'open', 'person', 'ada', 'fixed', NULL, 7, 1795499000000);


--
-- Data for Name: last_known; Type: TABLE DATA; Schema: omero_mq; Owner: -
--

INSERT INTO omero_mq.last_known VALUES (42, 52, 103, NULL, NULL, NULL, 'image');
INSERT INTO omero_mq.last_known VALUES (43, 52, 103, NULL, NULL, '2026-11-21 08:00:00+00', 'image');
INSERT INTO omero_mq.last_known VALUES (4, NULL, NULL, 103, 52, NULL, 'groupexperimentermap');


--
-- Data for Name: last_known_fill; Type: TABLE DATA; Schema: omero_mq; Owner: -
--

INSERT INTO omero_mq.last_known_fill VALUES ('image', 43, 2, '2026-11-20 12:31:00+00', '2026-11-20 12:31:00+00');
INSERT INTO omero_mq.last_known_fill VALUES ('roi', 900, 500, '2026-11-20 12:31:01+00', NULL);


--
-- Data for Name: migrations; Type: TABLE DATA; Schema: omero_mq; Owner: -
--

INSERT INTO omero_mq.migrations VALUES (1, '0001_initial', '24a12cec54fd2fd5ffd8893d8b4d79e8306c726efb552f422203ca2a03dcb354', 1, '2026-11-24 07:25:51.65626+00', 'postgres');


--
-- Data for Name: outbox; Type: TABLE DATA; Schema: omero_mq; Owner: -
--

INSERT INTO omero_mq.outbox OVERRIDING SYSTEM VALUE VALUES (1, 'omero.job-events', '\x6a6f622031', '\x00ff', '{ce_id,none}', '{"\\x31",NULL}', 'job 1', '2026-11-21 09:00:00+00', NULL, NULL, false);
INSERT INTO omero_mq.outbox OVERRIDING SYSTEM VALUE VALUES (2, 'omero.job-events', '\x6a6f622032', '\x76', '{}', '{}', 'job 2', '2026-11-21 09:00:01+00', '2026-11-21 09:00:02+00', 'too large', false);


--
-- Name: gate_history_id_seq; Type: SEQUENCE SET; Schema: omero_mq; Owner: -
--

SELECT pg_catalog.setval('omero_mq.gate_history_id_seq', 3, true);


--
-- Name: outbox_id_seq; Type: SEQUENCE SET; Schema: omero_mq; Owner: -
--

SELECT pg_catalog.setval('omero_mq.outbox_id_seq', 2, true);


--
-- Name: epoch_boundaries epoch_boundaries_pkey; Type: CONSTRAINT; Schema: omero_mq; Owner: -
--

ALTER TABLE ONLY omero_mq.epoch_boundaries
    ADD CONSTRAINT epoch_boundaries_pkey PRIMARY KEY (epoch, topic, partition);


--
-- Name: epochs epochs_pkey; Type: CONSTRAINT; Schema: omero_mq; Owner: -
--

ALTER TABLE ONLY omero_mq.epochs
    ADD CONSTRAINT epochs_pkey PRIMARY KEY (number);


--
-- Name: gate_history gate_history_pkey; Type: CONSTRAINT; Schema: omero_mq; Owner: -
--

ALTER TABLE ONLY omero_mq.gate_history
    ADD CONSTRAINT gate_history_pkey PRIMARY KEY (id);


--
-- Name: gates gates_pkey; Type: CONSTRAINT; Schema: omero_mq; Owner: -
--

ALTER TABLE ONLY omero_mq.gates
    ADD CONSTRAINT gates_pkey PRIMARY KEY (consumer);


--
-- Name: last_known_fill last_known_fill_pkey; Type: CONSTRAINT; Schema: omero_mq; Owner: -
--

ALTER TABLE ONLY omero_mq.last_known_fill
    ADD CONSTRAINT last_known_fill_pkey PRIMARY KEY (kind);


--
-- Name: last_known last_known_pkey; Type: CONSTRAINT; Schema: omero_mq; Owner: -
--

ALTER TABLE ONLY omero_mq.last_known
    ADD CONSTRAINT last_known_pkey PRIMARY KEY (kind, id);


--
-- Name: migrations migrations_pkey; Type: CONSTRAINT; Schema: omero_mq; Owner: -
--

ALTER TABLE ONLY omero_mq.migrations
    ADD CONSTRAINT migrations_pkey PRIMARY KEY (version);


--
-- Name: outbox outbox_pkey; Type: CONSTRAINT; Schema: omero_mq; Owner: -
--

ALTER TABLE ONLY omero_mq.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);


--
-- Name: gate_history_by_consumer; Type: INDEX; Schema: omero_mq; Owner: -
--

CREATE INDEX gate_history_by_consumer ON omero_mq.gate_history USING btree (consumer, id);


--
-- Name: last_known_gone; Type: INDEX; Schema: omero_mq; Owner: -
--

CREATE INDEX last_known_gone ON omero_mq.last_known USING btree (gone_at) WHERE (gone_at IS NOT NULL);


--
-- Name: outbox_due; Type: INDEX; Schema: omero_mq; Owner: -
--

CREATE INDEX outbox_due ON omero_mq.outbox USING btree (id) WHERE (parked_at IS NULL);


--
-- Name: outbox_parked; Type: INDEX; Schema: omero_mq; Owner: -
--

CREATE INDEX outbox_parked ON omero_mq.outbox USING btree (order_key, id) WHERE (parked_at IS NOT NULL);


--
-- Name: outbox outbox_written; Type: TRIGGER; Schema: omero_mq; Owner: -
--

CREATE TRIGGER outbox_written AFTER INSERT ON omero_mq.outbox FOR EACH STATEMENT EXECUTE FUNCTION omero_mq.outbox_written();


--
-- Name: epoch_boundaries epoch_boundaries_epoch_fkey; Type: FK CONSTRAINT; Schema: omero_mq; Owner: -
--

ALTER TABLE ONLY omero_mq.epoch_boundaries
    ADD CONSTRAINT epoch_boundaries_epoch_fkey FOREIGN KEY (epoch) REFERENCES omero_mq.epochs(number);


--
-- PostgreSQL database dump complete
--

\unrestrict lzh3k5D4U1lRxqgZMRkfzhSMT5GySpSzZyt1oFeksneQ2kBoQNIdlHTIIs9rYno

