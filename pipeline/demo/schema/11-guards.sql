-- What the database itself refuses or tidies.

-- Map rows go with their holder.
CREATE FUNCTION _delete_map_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DELETE FROM %I WHERE %I = $1', TG_ARGV[0], TG_TABLE_NAME || '_id') USING OLD.id;
    RETURN OLD;
END $$;
CREATE TRIGGER imagingenvironment_map_map_entry_delete_trigger BEFORE DELETE ON imagingenvironment
    FOR EACH ROW EXECUTE FUNCTION _delete_map_rows('imagingenvironment_map');
CREATE TRIGGER annotation_mapvalue_map_entry_delete_trigger BEFORE DELETE ON annotation
    FOR EACH ROW EXECUTE FUNCTION _delete_map_rows('annotation_mapvalue');
CREATE TRIGGER experimenter_config_map_entry_delete_trigger BEFORE DELETE ON experimenter
    FOR EACH ROW EXECUTE FUNCTION _delete_map_rows('experimenter_config');
CREATE TRIGGER experimentergroup_config_map_entry_delete_trigger BEFORE DELETE ON experimentergroup
    FOR EACH ROW EXECUTE FUNCTION _delete_map_rows('experimentergroup_config');

-- Two rows that change places would meet half-way: the one in the way is parked at a negative index.
CREATE FUNCTION groupexperimentermap_child_index_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.child, NEW.child_index) IS DISTINCT FROM (OLD.child, OLD.child_index) THEN
        UPDATE groupexperimentermap SET child_index = -1 - child_index
        WHERE child = NEW.child AND child_index = NEW.child_index AND id <> NEW.id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER groupexperimentermap_child_index_trigger BEFORE UPDATE ON groupexperimentermap
    FOR EACH ROW EXECUTE FUNCTION groupexperimentermap_child_index_move();

-- Files.
CREATE FUNCTION _fs_dir_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.mimetype = 'Directory' AND EXISTS (
        SELECT FROM originalfile WHERE repo = OLD.repo AND path = OLD.path || OLD.name || '/') THEN
        RAISE EXCEPTION 'directory % (%) is not empty', OLD.path || OLD.name || '/', OLD.id;
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER _fs_dir_delete BEFORE DELETE ON originalfile FOR EACH ROW EXECUTE FUNCTION _fs_dir_delete();

CREATE FUNCTION _fs_protected_mimetype() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.mimetype IN ('Directory', 'Repository') AND NEW.mimetype IS DISTINCT FROM OLD.mimetype THEN
        RAISE EXCEPTION 'file % stays a %', OLD.id, OLD.mimetype;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER _fs_protected_mimetype BEFORE UPDATE ON originalfile FOR EACH ROW EXECUTE FUNCTION _fs_protected_mimetype();

CREATE FUNCTION _fs_log_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.repo IS NOT NULL THEN
        INSERT INTO _fs_deletelog VALUES
            (_current_or_new_event(), OLD.id, OLD.owner_id, OLD.group_id, OLD.path, OLD.name, OLD.repo);
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER _fs_log_delete AFTER DELETE ON originalfile FOR EACH ROW EXECUTE FUNCTION _fs_log_delete();

-- A file gets into a repository only by someone who knows a living node's uuid: the name carries it in, and loses it here.
CREATE FUNCTION _protect_originalfile_repo() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    entering boolean := NEW.repo IS NOT NULL;
    key text;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        entering := entering AND NEW.repo IS DISTINCT FROM OLD.repo;
    END IF;
    SELECT uuid INTO key FROM node WHERE down IS NULL AND starts_with(NEW.name, uuid) LIMIT 1;
    IF FOUND THEN
        NEW.name := substr(NEW.name, length(key) + 1);
    ELSIF entering AND EXISTS (SELECT FROM node WHERE down IS NULL) THEN
        RAISE EXCEPTION 'cannot set the repository of an original file without the secret key';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER _protect_originalfile_repo_insert BEFORE INSERT ON originalfile
    FOR EACH ROW EXECUTE FUNCTION _protect_originalfile_repo();
CREATE TRIGGER _protect_originalfile_repo_update BEFORE UPDATE ON originalfile
    FOR EACH ROW EXECUTE FUNCTION _protect_originalfile_repo();

-- Images, folders, namespaces, patches.
CREATE FUNCTION image_series_default_zero() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.series := coalesce(NEW.series, 0);
    RETURN NEW;
END $$;
CREATE TRIGGER image_series_default_zero BEFORE INSERT OR UPDATE ON image
    FOR EACH ROW EXECUTE FUNCTION image_series_default_zero();

CREATE FUNCTION preserve_folder_tree() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    ancestor int8 := NEW.parentfolder;
BEGIN
    WHILE ancestor IS NOT NULL LOOP
        IF ancestor = NEW.id THEN
            RAISE EXCEPTION 'folder % would be inside itself', NEW.id;
        END IF;
        SELECT parentfolder INTO STRICT ancestor FROM folder WHERE id = ancestor;
    END LOOP;
    RETURN NEW;
END $$;
CREATE TRIGGER preserve_folder_tree AFTER INSERT OR UPDATE ON folder FOR EACH ROW EXECUTE FUNCTION preserve_folder_tree();

CREATE FUNCTION add_to_namespace() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.ns IS NOT NULL AND NOT EXISTS (SELECT FROM namespace WHERE name = NEW.ns) THEN
        INSERT INTO namespace (id, name, permissions) VALUES (ome_nextval('seq_namespace'), NEW.ns, -52);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER add_to_namespace AFTER INSERT OR UPDATE ON annotation FOR EACH ROW EXECUTE FUNCTION add_to_namespace();

CREATE FUNCTION dbpatch_versions_trigger_function() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.currentversion, NEW.currentpatch) <> (NEW.previousversion, NEW.previouspatch) AND EXISTS (
        SELECT FROM dbpatch AS other
        WHERE other.id <> NEW.id
          AND (other.currentversion, other.currentpatch) <> (other.previousversion, other.previouspatch)
          AND ((other.currentversion, other.currentpatch) = (NEW.currentversion, NEW.currentpatch)
               OR (other.previousversion, other.previouspatch) = (NEW.previousversion, NEW.previouspatch))) THEN
        RAISE EXCEPTION 'an upgrade happens once';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER dbpatch_versions_trigger BEFORE INSERT OR UPDATE ON dbpatch
    FOR EACH ROW EXECUTE FUNCTION dbpatch_versions_trigger_function();

-- Root, guest and the three first groups stay what they are.
CREATE FUNCTION prevent_root_deactivate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM _roles WHERE OLD.child = root_user_id AND OLD.parent IN (system_group_id, user_group_id)) THEN
        IF TG_OP = 'DELETE' THEN
            RAISE EXCEPTION 'root stays a member of the groups system and user';
        ELSIF (NEW.parent, NEW.child) <> (OLD.parent, OLD.child) THEN
            RAISE EXCEPTION 'root stays a member of the groups system and user';
        END IF;
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER prevent_root_deactivate_delete BEFORE DELETE ON groupexperimentermap
    FOR EACH ROW EXECUTE FUNCTION prevent_root_deactivate();
CREATE TRIGGER prevent_root_deactivate_update BEFORE UPDATE ON groupexperimentermap
    FOR EACH ROW EXECUTE FUNCTION prevent_root_deactivate();

CREATE FUNCTION prevent_experimenter_rename() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.omename <> OLD.omename AND EXISTS (SELECT FROM _roles WHERE OLD.id IN (root_user_id, guest_user_id)) THEN
        RAISE EXCEPTION 'user % keeps its name', OLD.omename;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER prevent_experimenter_rename BEFORE UPDATE ON experimenter
    FOR EACH ROW EXECUTE FUNCTION prevent_experimenter_rename();

CREATE FUNCTION prevent_experimenter_group_rename() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.name <> OLD.name AND EXISTS (
        SELECT FROM _roles WHERE OLD.id IN (system_group_id, user_group_id, guest_group_id)) THEN
        RAISE EXCEPTION 'group % keeps its name', OLD.name;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER prevent_experimenter_group_rename BEFORE UPDATE ON experimentergroup
    FOR EACH ROW EXECUTE FUNCTION prevent_experimenter_group_rename();

CREATE FUNCTION prevent_root_privilege_restriction() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.name LIKE 'AdminPrivilege:%' AND NEW.value NOT ILIKE 'true'
       AND EXISTS (SELECT FROM _roles WHERE root_user_id = NEW.experimenter_id) THEN
        RAISE EXCEPTION 'root has every privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER prevent_root_privilege_restriction BEFORE INSERT OR UPDATE ON experimenter_config
    FOR EACH ROW EXECUTE FUNCTION prevent_root_privilege_restriction();

-- Nobody hands out a privilege that the caller of this transaction lacks. Checked at commit.
CREATE FUNCTION group_link_check() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM _roles WHERE system_group_id = NEW.parent) AND EXISTS (
        SELECT FROM adminprivilege AS privilege
        WHERE NOT EXISTS (SELECT FROM experimenter_config
                          WHERE experimenter_id = NEW.child AND name = 'AdminPrivilege:' || privilege.value AND value NOT ILIKE 'true')
          AND NOT EXISTS (SELECT FROM _current_admin_privileges AS held
                          WHERE held.transaction = txid_current() AND held.privilege = privilege.value)) THEN
        RAISE EXCEPTION 'cannot give administrator privileges that the current user does not have';
    END IF;
    RETURN NEW;
END $$;
CREATE CONSTRAINT TRIGGER group_link_insert_trigger AFTER INSERT ON groupexperimentermap
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION group_link_check();
CREATE CONSTRAINT TRIGGER group_link_update_trigger AFTER UPDATE OF parent, child ON groupexperimentermap
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((OLD.parent, OLD.child) IS DISTINCT FROM (NEW.parent, NEW.child)) EXECUTE FUNCTION group_link_check();

CREATE FUNCTION user_config_check() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.name LIKE 'AdminPrivilege:%' AND OLD.value NOT ILIKE 'true'
       AND EXISTS (SELECT FROM groupexperimentermap JOIN _roles ON parent = system_group_id WHERE child = OLD.experimenter_id)
       AND NOT EXISTS (SELECT FROM _current_admin_privileges
                       WHERE transaction = txid_current() AND 'AdminPrivilege:' || privilege = OLD.name) THEN
        RAISE EXCEPTION 'cannot give administrator privileges that the current user does not have';
    END IF;
    RETURN OLD;
END $$;
CREATE CONSTRAINT TRIGGER user_config_delete_trigger AFTER DELETE ON experimenter_config
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION user_config_check();
CREATE CONSTRAINT TRIGGER user_config_update_trigger AFTER UPDATE ON experimenter_config
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION user_config_check();
