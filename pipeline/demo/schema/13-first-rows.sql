-- What every new database holds, all of it in event 0. Secrets are written by whoever makes the database.

INSERT INTO experimenter (id, permissions, version, omename, firstname, lastname) VALUES (0, 0, 0, 'root', 'root', 'root');
INSERT INTO experimenter (id, permissions, version, omename, firstname, lastname)
VALUES (ome_nextval('seq_experimenter'), 0, 0, 'guest', 'Guest', 'Account');

INSERT INTO experimentergroup (id, permissions, version, name) VALUES (0, -120, 0, 'system');
INSERT INTO experimentergroup (id, permissions, version, name) VALUES (ome_nextval('seq_experimentergroup'), -52, 0, 'user');
INSERT INTO experimentergroup (id, permissions, version, name) VALUES (ome_nextval('seq_experimentergroup'), -120, 0, 'guest');

INSERT INTO node (id, permissions, uuid, conn, up, down)
VALUES (0, -52, repeat('0', 36), 'unknown', clock_timestamp(), clock_timestamp());
INSERT INTO "session" (id, permissions, timetoidle, timetolive, started, closed, defaulteventtype, uuid, owner, node)
VALUES (0, -52, 0, 0, clock_timestamp(), clock_timestamp(), 'BOOTSTRAP', '0000', 0, 0),
       (ome_nextval('seq_session'), -52, 0, 0, clock_timestamp(), clock_timestamp(), 'PREVIOUSITEMS', '1111', 0, 0);
INSERT INTO eventtype (id, permissions, value) VALUES (0, -52, 'Bootstrap');
INSERT INTO event (id, permissions, time, status, experimenter, experimentergroup, "session", type)
VALUES (0, 0, clock_timestamp(), 'BOOTSTRAP', 0, 0, 0, 0);

INSERT INTO _roles VALUES (0, 1, 0, 1, 2);

-- The first memberships come before the guard on privileges has anything to compare with.
ALTER TABLE groupexperimentermap DISABLE TRIGGER group_link_insert_trigger;
INSERT INTO groupexperimentermap (id, permissions, version, parent, child, child_index, owner) VALUES
    (0, -52, 0, 0, 0, 0, true),
    (ome_nextval('seq_groupexperimentermap'), -52, 0, 1, 0, 1, false),
    (ome_nextval('seq_groupexperimentermap'), -52, 0, 2, 1, 0, false);
ALTER TABLE groupexperimentermap ENABLE TRIGGER group_link_insert_trigger;

ALTER TABLE dbpatch ALTER id SET DEFAULT ome_nextval('seq_dbpatch'), ALTER permissions SET DEFAULT -52,
    ALTER message SET DEFAULT 'Updating';
INSERT INTO dbpatch (currentversion, currentpatch, previousversion, previouspatch, message, finished)
VALUES ('OMERO5.4', 0, 'OMERO5.4', 0, 'Database ready.', clock_timestamp());
