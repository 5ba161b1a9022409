-- A short notation for tables, so that what all of them share is written once.
--
-- One column a line:   name type [constraints]        an ordinary column
--                      name type -> table             a foreign key with its index
--                      name type ~ unit               a measured value; a column <name>unit and a check that both or neither are set
--
-- The functions live in the session's temporary schema and vanish with it.

CREATE TEMP TABLE pending_reference (owner text, field text, target text, indexed boolean);

-- Columns as SQL; what they refer to is noted and joined at the end, so that tables may stand in any order.
CREATE FUNCTION pg_temp.columns(owner text, lines text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    words text[];
    found text := '';
BEGIN
    FOREACH line IN ARRAY string_to_array(lines, E'\n') LOOP
        line := btrim(line);
        IF line = '' THEN
            CONTINUE;
        END IF;
        IF line LIKE '%->%' THEN
            words := string_to_array(line, '->');
            line := btrim(words[1]);
            INSERT INTO pending_reference VALUES (owner, split_part(line, ' ', 1), btrim(words[2]), true);
        ELSIF line LIKE '%~%' THEN
            words := string_to_array(line, '~');
            line := btrim(words[1]);
            words := ARRAY[split_part(line, ' ', 1), btrim(words[2])];
            line := format('%1$s, %2$sunit %3$s, CONSTRAINT %2$s_unitpair CHECK ((%4$s IS NULL) = (%2$sunit IS NULL))',
                           line, btrim(words[1], '"'), words[2], words[1]);
        END IF;
        found := found || ', ' || line;
    END LOOP;
    RETURN found;
END $$;

CREATE FUNCTION pg_temp.sequence_of(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SEQUENCE seq_%s', name);
    INSERT INTO _lock_ids (name, id) VALUES ('seq_' || name, nextval('_lock_seq'));
END $$;

-- Something that is nobody's: no owner, no group, no events.
CREATE FUNCTION pg_temp.global(name text, lines text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE %s (id int8 PRIMARY KEY, permissions int8 NOT NULL, external_id int8 UNIQUE%s, version int4)',
                   name, pg_temp.columns(name, lines));
    INSERT INTO pending_reference VALUES (name, 'external_id', 'externalinfo', false);
    PERFORM pg_temp.sequence_of(name);
END $$;

-- The same, never changed once written.
CREATE FUNCTION pg_temp.constant_global(name text, lines text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE %s (id int8 PRIMARY KEY, permissions int8 NOT NULL, external_id int8 UNIQUE%s)',
                   name, pg_temp.columns(name, lines));
    INSERT INTO pending_reference VALUES (name, 'external_id', 'externalinfo', false);
    PERFORM pg_temp.sequence_of(name);
END $$;

-- A list of values; the rows come in the order given, with ids from 1.
CREATE FUNCTION pg_temp.enumeration(name text, entries text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_temp.constant_global(name, 'value varchar(255) NOT NULL UNIQUE');
    EXECUTE format('INSERT INTO %1$s (id, permissions, value)
                    SELECT nextval(%2$L), -52, btrim(entry) FROM regexp_split_to_table(%3$L, E''\\|'') AS entry',
                   name, 'seq_' || name, entries);
END $$;

-- Somebody's data: owner, group, and the events that made and last changed it.
CREATE FUNCTION pg_temp.entity(name text, lines text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE %s (id int8 PRIMARY KEY, permissions int8 NOT NULL, creation_id int8 NOT NULL,
                    update_id int8 NOT NULL, owner_id int8 NOT NULL, group_id int8 NOT NULL, external_id int8 UNIQUE%s, version int4)',
                   name, pg_temp.columns(name, lines));
    INSERT INTO pending_reference VALUES
        (name, 'creation_id', 'event', false), (name, 'update_id', 'event', false),
        (name, 'owner_id', 'experimenter', false), (name, 'group_id', 'experimentergroup', false),
        (name, 'external_id', 'externalinfo', false);
    EXECUTE format('CREATE INDEX i_%1$s_owner ON %1$s (owner_id)', name);
    EXECUTE format('CREATE INDEX i_%1$s_group ON %1$s (group_id)', name);
    PERFORM pg_temp.sequence_of(name);
END $$;

-- Two users may each join the same two objects: the owner is part of what is unique.
CREATE FUNCTION pg_temp.link(name text, parent text, child text, lines text DEFAULT '') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_temp.entity(name, format(E'parent int8 NOT NULL -> %s\nchild int8 NOT NULL -> %s\n%s', parent, child, lines));
    EXECUTE format('ALTER TABLE %s ADD UNIQUE (parent, child, owner_id)', name);
END $$;

-- A kind of another table's rows, one to one.
CREATE FUNCTION pg_temp.kind_of(name text, root text, lines text DEFAULT '') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE %s (%s_id int8 PRIMARY KEY%s)', name, root, pg_temp.columns(name, lines));
    INSERT INTO pending_reference VALUES (name, root || '_id', root, false);
END $$;

-- Names and values that belong to a row, in order.
CREATE FUNCTION pg_temp.map_of(owner text, property text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE %1$s_%2$s (%1$s_id int8 NOT NULL, name text NOT NULL, value text NOT NULL, index int4 NOT NULL,
                    PRIMARY KEY (%1$s_id, index))', owner, property);
    EXECUTE format('CREATE INDEX %1$s_%2$s_name ON %1$s_%2$s (name)', owner, property);
    EXECUTE format('CREATE INDEX %1$s_%2$s_value ON %1$s_%2$s (value)', owner, property);
    INSERT INTO pending_reference VALUES (owner || '_' || property, owner || '_id', owner, false);
END $$;

CREATE FUNCTION pg_temp.join_tables() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    ref record;
BEGIN
    FOR ref IN SELECT owner, string_agg(
                   format('ADD CONSTRAINT fk%s_%s_%s FOREIGN KEY (%s) REFERENCES %s', owner, btrim(field, '"'),
                          btrim(target, '"'), field, target), ', ') AS clauses
               FROM pending_reference GROUP BY owner LOOP
        EXECUTE format('ALTER TABLE %s %s', ref.owner, ref.clauses);
    END LOOP;
    FOR ref IN SELECT * FROM pending_reference WHERE indexed LOOP
        EXECUTE format('CREATE INDEX i_%s_%s ON %s (%s)', ref.owner, btrim(ref.field, '"'), ref.owner, ref.field);
    END LOOP;
    DELETE FROM pending_reference;
END $$;

-- Every sequence has a number of its own, which its advisory lock is named by.
CREATE SEQUENCE _lock_seq;
CREATE TABLE _lock_ids (name varchar(255) NOT NULL, id int4 PRIMARY KEY DEFAULT nextval('_lock_seq'));
CREATE UNIQUE INDEX _lock_ids_name ON _lock_ids (name);
