-- What has to be indexed again because something on it changed, and how that becomes rows of the event log.

-- The event of this transaction's call. The server says at the start of a call which one it is.
CREATE FUNCTION _prepare_session(_event_id int8, _user_id int8, _group_id int8) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass('pg_temp._current_session') IS NULL THEN
        CREATE TEMP TABLE _current_session (event_id int8, user_id int8, group_id int8) ON COMMIT DELETE ROWS;
    ELSE
        DELETE FROM _current_session;
    END IF;
    INSERT INTO _current_session VALUES (_event_id, _user_id, _group_id);
END $$;

CREATE FUNCTION _current_event() RETURNS int8 LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass('pg_temp._current_session') IS NULL THEN
        RETURN 0;
    END IF;
    RETURN (SELECT event_id FROM _current_session);
END $$;

-- Without a call (plain psql, raw SQL) each triggering row gets an event of its own. Event 0 counts as none.
CREATE FUNCTION _current_or_new_event() RETURNS int8 LANGUAGE plpgsql AS $$
DECLARE
    current_id int8 := _current_event();
BEGIN
    IF current_id IS NULL OR current_id = 0 THEN
        current_id := ome_nextval('seq_event');
        INSERT INTO event (id, permissions, status, time, experimenter, experimentergroup, "session", type)
        VALUES (current_id, -52, 'TRIGGERED', clock_timestamp(), 0, 0, 0, 0);
    END IF;
    RETURN current_id;
END $$;

-- No primary key: a publication of deletes would break updated_entities_note_reindex().
CREATE TABLE _reindexing_required (
    event_id int8 NOT NULL CONSTRAINT fk_reindexing_required_event_id REFERENCES event,
    entity_type text NOT NULL,
    entity_id int8 NOT NULL
);
CREATE INDEX _reindexing_required_event_index ON _reindexing_required (event_id);
CREATE INDEX _reindexing_required_row_index ON _reindexing_required (event_id, entity_type, entity_id);

CREATE FUNCTION _note_once(noted_event int8, noted_type text, noted_id int8) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM _reindexing_required
                   WHERE event_id = noted_event AND entity_type = noted_type AND entity_id = noted_id) THEN
        INSERT INTO _reindexing_required VALUES (noted_event, noted_type, noted_id);
    END IF;
END $$;

-- Arguments: the class of the parents that the link table joins to annotations.
CREATE FUNCTION annotation_link_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    noted_event int8 := _current_or_new_event();
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM _note_once(noted_event, TG_ARGV[0], OLD.parent);
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    PERFORM _note_once(noted_event, TG_ARGV[0], NEW.parent);
    RETURN NEW;
END $$;

DO $$
DECLARE
    parent record;
    notes text := '';
BEGIN
    FOR parent IN SELECT * FROM pg_temp.annotated ORDER BY name LOOP
        EXECUTE format('CREATE TRIGGER %1$s_annotation_link_insert_trigger AFTER INSERT ON %1$sannotationlink
                        FOR EACH ROW EXECUTE FUNCTION annotation_link_trigger(%2$L)', parent.name, parent.class);
        EXECUTE format('CREATE TRIGGER %1$s_annotation_link_update_trigger AFTER UPDATE ON %1$sannotationlink
                        FOR EACH ROW EXECUTE FUNCTION annotation_link_trigger(%2$L)', parent.name, parent.class);
        EXECUTE format('CREATE TRIGGER %1$s_annotation_link_delete_trigger BEFORE DELETE ON %1$sannotationlink
                        FOR EACH ROW EXECUTE FUNCTION annotation_link_trigger(%2$L)', parent.name, parent.class);
        notes := notes || format(E'    PERFORM _note_once(noted_event, %2$L, parent)
        FROM (SELECT DISTINCT parent FROM %1$sannotationlink WHERE child = NEW.id) AS annotated;\n', parent.name, parent.class);
    END LOOP;
    EXECUTE format('CREATE FUNCTION annotation_update_event_trigger() RETURNS trigger LANGUAGE plpgsql AS %L',
        E'DECLARE\n    noted_event int8 := _current_or_new_event();\nBEGIN\n' || notes || E'    RETURN NEW;\nEND');
END $$;

-- No trigger on insert: what is new has no links yet.
CREATE TRIGGER annotation_trigger AFTER UPDATE ON annotation
    FOR EACH ROW EXECUTE FUNCTION annotation_update_event_trigger();

-- An image's document names the folders that its ROIs are in.
CREATE FUNCTION _note_images(images int8[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    image_id int8;
    noted_event int8;
BEGIN
    FOR image_id IN SELECT DISTINCT i FROM unnest(images) AS i WHERE i IS NOT NULL ORDER BY i LOOP
        noted_event := coalesce(noted_event, _current_or_new_event());
        PERFORM _note_once(noted_event, 'ome.model.core.Image', image_id);
    END LOOP;
END $$;

CREATE FUNCTION folder_update_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM _note_images(ARRAY(
        SELECT roi.image FROM folderroilink AS link JOIN roi ON roi.id = link.child WHERE link.parent = NEW.id));
    RETURN NEW;
END $$;
CREATE TRIGGER folder_update_trigger AFTER UPDATE ON folder FOR EACH ROW EXECUTE FUNCTION folder_update_trigger();

CREATE FUNCTION folder_roi_link_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    rois int8[];
BEGIN
    IF TG_OP <> 'INSERT' THEN
        rois := rois || OLD.child;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        rois := rois || NEW.child;
    END IF;
    PERFORM _note_images(ARRAY(SELECT image FROM roi WHERE id = ANY (rois)));
    RETURN NULL;
END $$;
CREATE TRIGGER folder_roi_link_insert_trigger AFTER INSERT ON folderroilink FOR EACH ROW EXECUTE FUNCTION folder_roi_link_trigger();
CREATE TRIGGER folder_roi_link_update_trigger AFTER UPDATE ON folderroilink FOR EACH ROW EXECUTE FUNCTION folder_roi_link_trigger();
CREATE TRIGGER folder_roi_link_delete_trigger AFTER DELETE ON folderroilink FOR EACH ROW EXECUTE FUNCTION folder_roi_link_trigger();

-- An update counts only if the ROI went to another image.
CREATE FUNCTION roi_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM _note_images(ARRAY[NEW.image]);
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM _note_images(ARRAY[OLD.image]);
    ELSIF OLD.image IS DISTINCT FROM NEW.image THEN
        PERFORM _note_images(ARRAY[OLD.image, NEW.image]);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER roi_insert_trigger AFTER INSERT ON roi FOR EACH ROW EXECUTE FUNCTION roi_trigger();
CREATE TRIGGER roi_update_trigger AFTER UPDATE ON roi FOR EACH ROW EXECUTE FUNCTION roi_trigger();
CREATE TRIGGER roi_delete_trigger AFTER DELETE ON roi FOR EACH ROW EXECUTE FUNCTION roi_trigger();

-- Only OMERO's indexer calls this. At most 100,000 notes a call; none for what already has any row in the same event.
CREATE FUNCTION updated_entities_note_reindex() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    notes CURSOR FOR SELECT * FROM _reindexing_required ORDER BY event_id LIMIT 100000 FOR UPDATE;
BEGIN
    FOR note IN notes LOOP
        DELETE FROM _reindexing_required WHERE CURRENT OF notes;
        INSERT INTO eventlog (id, action, permissions, entityid, entitytype, event)
        SELECT ome_nextval('seq_eventlog'), 'REINDEX', -52, note.entity_id, note.entity_type, note.event_id
        WHERE NOT EXISTS (SELECT FROM eventlog AS logged
                          WHERE logged.entityid = note.entity_id AND logged.entitytype = note.entity_type
                            AND logged.event = note.event_id);
    END LOOP;
END $$;
