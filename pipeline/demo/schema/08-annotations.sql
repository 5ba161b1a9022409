-- Annotations in one table, told apart by their discriminator, and the 28 tables that hang them on objects.

SELECT pg_temp.global('namespace', $$
    description text
    display boolean
    displayname text
    keywords text[]
    multivalued boolean
    name text NOT NULL
$$);
CREATE UNIQUE INDEX namespace_name ON namespace (name);
CREATE INDEX namespace_displayname ON namespace (displayname);

SELECT pg_temp.entity('annotation', $$
    discriminator varchar(31) NOT NULL
    description text
    name text
    ns text
    boolvalue boolean
    textvalue text
    doublevalue float8
    longvalue int8
    termvalue text
    timevalue timestamp
    "file" int8 -> originalfile
$$);
CREATE INDEX annotation_discriminator ON annotation (discriminator);
CREATE INDEX annotation_ns ON annotation (ns);
CREATE INDEX annotation_name ON annotation (name);
SELECT pg_temp.map_of('annotation', 'mapvalue');

CREATE TABLE pg_temp.annotated (name text PRIMARY KEY, class text NOT NULL);
INSERT INTO annotated VALUES
    ('annotation', 'ome.model.annotations.Annotation'), ('channel', 'ome.model.core.Channel'),
    ('dataset', 'ome.model.containers.Dataset'), ('detector', 'ome.model.acquisition.Detector'),
    ('dichroic', 'ome.model.acquisition.Dichroic'), ('experimenter', 'ome.model.meta.Experimenter'),
    ('experimentergroup', 'ome.model.meta.ExperimenterGroup'), ('fileset', 'ome.model.fs.Fileset'),
    ('filter', 'ome.model.acquisition.Filter'), ('folder', 'ome.model.containers.Folder'),
    ('image', 'ome.model.core.Image'), ('instrument', 'ome.model.acquisition.Instrument'),
    ('lightpath', 'ome.model.acquisition.LightPath'), ('lightsource', 'ome.model.acquisition.LightSource'),
    ('namespace', 'ome.model.meta.Namespace'), ('node', 'ome.model.meta.Node'),
    ('objective', 'ome.model.acquisition.Objective'), ('originalfile', 'ome.model.core.OriginalFile'),
    ('planeinfo', 'ome.model.core.PlaneInfo'), ('plate', 'ome.model.screen.Plate'),
    ('plateacquisition', 'ome.model.screen.PlateAcquisition'), ('project', 'ome.model.containers.Project'),
    ('reagent', 'ome.model.screen.Reagent'), ('roi', 'ome.model.roi.Roi'), ('screen', 'ome.model.screen.Screen'),
    ('session', 'ome.model.meta.Session'), ('shape', 'ome.model.roi.Shape'), ('well', 'ome.model.screen.Well');

SELECT pg_temp.link(name || 'annotationlink', name, 'annotation') FROM annotated ORDER BY name;
SELECT pg_temp.join_tables();
