-- Who did what and when: users, groups, sessions, events, and the log of events.

SELECT pg_temp.enumeration('eventtype', 'Import|Internal|Shoola|User|Task|Test|Processing|FullText|Sessions');
SELECT pg_temp.enumeration('adminprivilege', 'Chgrp|Chown|DeleteFile|DeleteManagedRepo|DeleteOwned|DeleteScriptRepo|ModifyGroup|ModifyGroupMembership|ModifyUser|ReadSession|Sudo|WriteFile|WriteManagedRepo|WriteOwned|WriteScriptRepo');

SELECT pg_temp.global('experimenter', $$
    email varchar(255)
    firstname varchar(255) NOT NULL
    institution varchar(255)
    lastname varchar(255) NOT NULL
    ldap boolean NOT NULL DEFAULT false
    middlename varchar(255)
    omename varchar(255) NOT NULL UNIQUE
$$);
SELECT pg_temp.map_of('experimenter', 'config');

SELECT pg_temp.global('experimentergroup', $$
    description text
    ldap boolean NOT NULL DEFAULT false
    name varchar(255) NOT NULL UNIQUE
$$);
SELECT pg_temp.map_of('experimentergroup', 'config');

-- child_index 0 is the user's default group; owner means that the user leads the group.
SELECT pg_temp.global('groupexperimentermap', $$
    owner boolean NOT NULL
    parent int8 NOT NULL -> experimentergroup
    child int8 NOT NULL -> experimenter
    child_index int4 NOT NULL
$$);
ALTER TABLE groupexperimentermap ADD UNIQUE (parent, child), ADD UNIQUE (child, child_index);

-- uuid is a secret: it guards originalfile.repo.
SELECT pg_temp.global('node', $$
    conn text NOT NULL
    down timestamp
    scale int4
    up timestamp NOT NULL
    uuid varchar(255) NOT NULL UNIQUE
$$);
CREATE INDEX node_down ON node (down);

-- uuid is a secret: whoever knows it can join the session.
SELECT pg_temp.global('session', $$
    closed timestamp
    defaulteventtype varchar(255) NOT NULL
    message text
    started timestamp NOT NULL
    timetoidle int8 NOT NULL
    timetolive int8 NOT NULL
    useragent varchar(255)
    userip varchar(45)
    uuid varchar(255) NOT NULL UNIQUE
    node int8 NOT NULL -> node
    owner int8 NOT NULL -> experimenter
    sudoer int8 -> experimenter
$$);
SELECT pg_temp.kind_of('share', 'session', $$
    active boolean NOT NULL
    data bytea NOT NULL
    itemcount int8 NOT NULL
    "group" int8 NOT NULL -> experimentergroup
$$);

SELECT pg_temp.global('sharemember', $$
    parent int8 NOT NULL -> share
    child int8 NOT NULL -> experimenter
$$);
ALTER TABLE sharemember ADD UNIQUE (parent, child);

SELECT pg_temp.constant_global('event', $$
    status varchar(255)
    time timestamp NOT NULL
    containingevent int8 -> event
    experimenter int8 NOT NULL -> experimenter
    experimentergroup int8 NOT NULL -> experimentergroup
    "session" int8 NOT NULL -> session
    type int8 NOT NULL -> eventtype
$$);

-- Nothing refers from here to the entity: rows outlive what they tell of.
SELECT pg_temp.constant_global('eventlog', $$
    action varchar(255) NOT NULL
    entityid int8 NOT NULL
    entitytype varchar(255) NOT NULL
    event int8 NOT NULL -> event
$$);
CREATE INDEX eventlog_entitytype ON eventlog (entitytype);
CREATE INDEX eventlog_entityid ON eventlog (entityid);
CREATE INDEX eventlog_action ON eventlog (action);

SELECT pg_temp.constant_global('externalinfo', $$
    entityid int8 NOT NULL
    entitytype varchar(255) NOT NULL
    lsid varchar(255)
    uuid varchar(255)
    creation_id int8 NOT NULL -> event
    owner_id int8 NOT NULL -> experimenter
    group_id int8 NOT NULL -> experimentergroup
$$);

SELECT pg_temp.constant_global('dbpatch', $$
    currentpatch int4 NOT NULL
    currentversion varchar(255) NOT NULL
    finished timestamp
    message varchar(255)
    previouspatch int4 NOT NULL
    previousversion varchar(255) NOT NULL
$$);

CREATE TABLE password (experimenter_id int8 PRIMARY KEY REFERENCES experimenter, hash varchar(255), changed timestamp);
CREATE TABLE configuration (name varchar(255) PRIMARY KEY, value text);
CREATE TABLE _roles (
    root_user_id int8 NOT NULL, guest_user_id int8 NOT NULL,
    system_group_id int8 NOT NULL, user_group_id int8 NOT NULL, guest_group_id int8 NOT NULL
);

-- What the caller of this transaction may do. Not in the WAL, so nobody can capture it.
CREATE UNLOGGED TABLE _current_admin_privileges (transaction int8, privilege varchar(255));
CREATE INDEX i_current_admin_privileges_transactions ON _current_admin_privileges (transaction);
