-- Ids: drawn under an advisory lock that covers the draw and not the transaction, which is why they are not an order.

CREATE FUNCTION ome_nextval(seq varchar, increment int4) RETURNS int8 LANGUAGE plpgsql AS $$
DECLARE
    lock_id int4;
    last int8;
BEGIN
    SELECT id INTO lock_id FROM _lock_ids WHERE name = seq;
    IF NOT FOUND THEN
        INSERT INTO _lock_ids (name) VALUES (seq) RETURNING id INTO lock_id;
    END IF;
    PERFORM pg_advisory_lock(1, lock_id);
    BEGIN
        SELECT max(n) INTO last FROM (SELECT nextval(seq) AS n FROM generate_series(1, increment)) AS drawn;
    EXCEPTION WHEN OTHERS THEN
        PERFORM pg_advisory_unlock(1, lock_id);
        RAISE;
    END;
    PERFORM pg_advisory_unlock(1, lock_id);
    RETURN last;
END $$;

CREATE FUNCTION ome_nextval(seq varchar) RETURNS int8 LANGUAGE sql AS 'SELECT ome_nextval(seq, 1)';

-- Permissions as people write them, e.g. rwra--. A write bit hides the annotate bit.
CREATE FUNCTION ome_perms(p int8) RETURNS varchar LANGUAGE sql AS $$
    SELECT string_agg(
        CASE WHEN p & (4 << shift) <> 0 THEN 'r' ELSE '-' END ||
        CASE WHEN p & (2 << shift) <> 0 THEN 'w' WHEN p & (1 << shift) <> 0 THEN 'a' ELSE '-' END, '' ORDER BY shift DESC)
    FROM (VALUES (8), (4), (0)) AS who(shift)
$$;

CREATE FUNCTION uuid() RETURNS char(36) LANGUAGE sql AS 'SELECT gen_random_uuid()::char(36)';
