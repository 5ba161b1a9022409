-- High-content screening: screens, plates, wells and the fields in them. Wells have no name.

SELECT pg_temp.entity('screen', $$
    description text
    name text NOT NULL
    protocoldescription text
    protocolidentifier varchar(255)
    reagentsetdescription text
    reagentsetidentifier varchar(255)
    type varchar(255)
$$);
SELECT pg_temp.entity('plate', $$
    columnnamingconvention varchar(255)
    columns int4
    defaultsample int4
    description text
    externalidentifier varchar(255)
    name text NOT NULL
    rownamingconvention varchar(255)
    "rows" int4
    status text
    welloriginx float8 ~ unitslength
    welloriginy float8 ~ unitslength
$$);
SELECT pg_temp.entity('plateacquisition', $$
    description text
    endtime timestamp
    maximumfieldcount int4
    name text
    starttime timestamp
    plate int8 NOT NULL -> plate
$$);
SELECT pg_temp.entity('reagent', $$
    description text
    name text
    reagentidentifier varchar(255)
    screen int8 NOT NULL -> screen
$$);
SELECT pg_temp.entity('well', $$
    alpha int4
    blue int4
    "column" int4
    externaldescription text
    externalidentifier varchar(255)
    green int4
    red int4
    "row" int4
    status varchar(255)
    type varchar(255)
    plate int8 NOT NULL -> plate
$$);
CREATE UNIQUE INDEX well_col_row ON well (plate, "column", "row");
SELECT pg_temp.entity('wellsample', $$
    posx float8 ~ unitslength
    posy float8 ~ unitslength
    timepoint timestamp
    image int8 NOT NULL -> image
    plateacquisition int8 -> plateacquisition
    well int8 NOT NULL -> well
    well_index int4 NOT NULL
$$);
ALTER TABLE wellsample ADD UNIQUE (well, well_index);

SELECT pg_temp.link('screenplatelink', 'screen', 'plate');
SELECT pg_temp.link('wellreagentlink', 'well', 'reagent');
