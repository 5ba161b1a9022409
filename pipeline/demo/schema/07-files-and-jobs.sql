-- Files, the sets that they were imported in, and the jobs that the server did with them.

SELECT pg_temp.enumeration('checksumalgorithm', 'Adler-32|CRC-32|MD5-128|Murmur3-32|Murmur3-128|SHA1-160|File-Size-64');
SELECT pg_temp.enumeration('jobstatus', 'Submitted|Resubmitted|Queued|Requeued|Running|Error|Waiting|Finished|Cancelled');

SELECT pg_temp.entity('originalfile', $$
    atime timestamp
    ctime timestamp
    hash text
    mimetype varchar(255) DEFAULT 'application/octet-stream'
    mtime timestamp
    name text NOT NULL
    path text NOT NULL
    repo varchar(36)
    "size" int8
    hasher int8 -> checksumalgorithm
$$);
CREATE INDEX originalfile_mime_index ON originalfile (mimetype);
CREATE INDEX originalfile_path_index ON originalfile (path);
CREATE INDEX originalfile_repo_index ON originalfile (repo);
CREATE INDEX originalfile_hash_index ON originalfile (hash);
CREATE INDEX originalfile_path_name_index ON originalfile ((path || name));
CREATE UNIQUE INDEX originalfile_repo_path_index
    ON originalfile (repo, regexp_split_to_array('/' || path || name || '/', '/+')) WHERE repo IS NOT NULL;

SELECT pg_temp.entity('fileset', $$
    templateprefix text NOT NULL
$$);
SELECT pg_temp.entity('filesetentry', $$
    clientpath text NOT NULL
    fileset int8 NOT NULL -> fileset
    originalfile int8 NOT NULL -> originalfile
    fileset_index int4 NOT NULL
$$);
ALTER TABLE filesetentry ADD UNIQUE (fileset, fileset_index);

SELECT pg_temp.entity('job', $$
    finished timestamp
    groupname varchar(255) NOT NULL
    message varchar(255) NOT NULL
    scheduledfor timestamp NOT NULL
    started timestamp
    submitted timestamp NOT NULL
    type varchar(255) NOT NULL
    username varchar(255) NOT NULL
    status int8 NOT NULL -> jobstatus
$$);
SELECT pg_temp.kind_of('scriptjob', 'job', 'description varchar(255)');
SELECT pg_temp.kind_of('parsejob', 'job', 'params bytea');
SELECT pg_temp.kind_of('importjob', 'job', $$
    imagedescription text NOT NULL
    imagename text NOT NULL
$$);
SELECT pg_temp.kind_of('uploadjob', 'job');
SELECT pg_temp.kind_of('metadataimportjob', 'job');
SELECT pg_temp.kind_of('pixeldatajob', 'job');
SELECT pg_temp.kind_of('thumbnailgenerationjob', 'job');
SELECT pg_temp.kind_of('indexingjob', 'job');
SELECT pg_temp.kind_of('integritycheckjob', 'job');

-- The version information hangs on the subclass, whose key is the job's.
CREATE TABLE uploadjob_versioninfo (uploadjob_id int8 NOT NULL REFERENCES uploadjob, name text NOT NULL, value text NOT NULL,
                                    index int4 NOT NULL, PRIMARY KEY (uploadjob_id, index));
CREATE TABLE metadataimportjob_versioninfo (metadataimportjob_id int8 NOT NULL REFERENCES metadataimportjob, name text NOT NULL, value text NOT NULL,
                                            index int4 NOT NULL, PRIMARY KEY (metadataimportjob_id, index));

SELECT pg_temp.link('filesetjoblink', 'fileset', 'job', 'parent_index int4 NOT NULL');
ALTER TABLE filesetjoblink ADD UNIQUE (parent, parent_index);
SELECT pg_temp.link('joboriginalfilelink', 'job', 'originalfile');
SELECT pg_temp.link('pixelsoriginalfilemap', 'originalfile', 'pixels');

-- Files whose rows are gone while the bytes still wait to be removed.
CREATE TABLE _fs_deletelog (
    event_id int8 NOT NULL, file_id int8 NOT NULL, owner_id int8 NOT NULL, group_id int8 NOT NULL,
    path text NOT NULL, name varchar(255) NOT NULL, repo varchar(36) NOT NULL
);
CREATE INDEX _fs_deletelog_event ON _fs_deletelog (event_id);
CREATE INDEX _fs_deletelog_file ON _fs_deletelog (file_id);
CREATE INDEX _fs_deletelog_repo ON _fs_deletelog (repo);
