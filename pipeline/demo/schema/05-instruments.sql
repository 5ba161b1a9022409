-- Instruments: what images were taken with.

SELECT pg_temp.enumeration('microscopetype', 'Upright|Inverted|Dissection|Electrophysiology|Other|Unknown');
SELECT pg_temp.enumeration('binning', '1x1|2x2|4x4|8x8|Other|Unknown');
SELECT pg_temp.enumeration('medium', 'Air|Oil|Water|Glycerol|Other|Unknown');
SELECT pg_temp.enumeration('arctype', 'Hg|Xe|HgXe|Other|Unknown');
SELECT pg_temp.enumeration('filamenttype', 'Incandescent|Halogen|Other|Unknown');
SELECT pg_temp.enumeration('lasertype', 'Excimer|Gas|SolidState|Dye|Semiconductor|Other|Unknown');
SELECT pg_temp.enumeration('lasermedium', 'Ar|Kr|HeNe|NdYAG|TiSapphire|Other|Unknown');
SELECT pg_temp.enumeration('pulse', 'CW|Single|QSwitched|Repetitive|ModeLocked|Other|Unknown');
SELECT pg_temp.enumeration('correction', 'PlanApo|PlanFluor|Plan|Other|Unknown');
SELECT pg_temp.enumeration('immersion', 'Oil|Water|Air|Glycerol|Other|Unknown');
SELECT pg_temp.enumeration('filtertype', 'LongPass|ShortPass|BandPass|Dichroic|Other|Unknown');
SELECT pg_temp.enumeration('detectortype', 'CCD|EMCCD|PMT|Other|Unknown');
SELECT pg_temp.entity('instrument', $$
    microscope int8 -> microscope
$$);
SELECT pg_temp.entity('detector', $$
    amplificationgain float8
    gain float8
    lotnumber varchar(255)
    manufacturer varchar(255)
    model varchar(255)
    offsetvalue float8
    serialnumber varchar(255)
    voltage float8 ~ unitselectricpotential
    zoom float8
    instrument int8 NOT NULL -> instrument
    type int8 NOT NULL -> detectortype
$$);
SELECT pg_temp.entity('dichroic', $$
    lotnumber varchar(255)
    manufacturer varchar(255)
    model varchar(255)
    serialnumber varchar(255)
    instrument int8 NOT NULL -> instrument
$$);
SELECT pg_temp.entity('filter', $$
    filterwheel varchar(255)
    lotnumber varchar(255)
    manufacturer varchar(255)
    model varchar(255)
    serialnumber varchar(255)
    instrument int8 NOT NULL -> instrument
    transmittancerange int8 -> transmittancerange
    type int8 -> filtertype
$$);
SELECT pg_temp.entity('lightsource', $$
    lotnumber varchar(255)
    manufacturer varchar(255)
    model varchar(255)
    "power" float8 ~ unitspower
    serialnumber varchar(255)
    instrument int8 NOT NULL -> instrument
$$);
SELECT pg_temp.entity('objective', $$
    calibratedmagnification float8
    iris boolean
    lensna float8
    lotnumber varchar(255)
    manufacturer varchar(255)
    model varchar(255)
    nominalmagnification float8
    serialnumber varchar(255)
    workingdistance float8 ~ unitslength
    correction int8 NOT NULL -> correction
    immersion int8 NOT NULL -> immersion
    instrument int8 NOT NULL -> instrument
$$);
SELECT pg_temp.entity('objectivesettings', $$
    correctioncollar float8
    refractiveindex float8
    medium int8 -> medium
    objective int8 NOT NULL -> objective
$$);
SELECT pg_temp.entity('lightpath', $$
    dichroic int8 -> dichroic
$$);
SELECT pg_temp.link('lightpathemissionfilterlink', 'lightpath', 'filter');
SELECT pg_temp.link('lightpathexcitationfilterlink', 'lightpath', 'filter', 'parent_index int4 NOT NULL');
ALTER TABLE lightpathexcitationfilterlink ADD UNIQUE (parent, parent_index);

SELECT pg_temp.entity('microscope', $$
    lotnumber varchar(255)
    manufacturer varchar(255)
    model varchar(255)
    serialnumber varchar(255)
    type int8 NOT NULL -> microscopetype
$$);
SELECT pg_temp.entity('detectorsettings', $$
    gain float8
    integration positive_int
    offsetvalue float8
    readoutrate float8 ~ unitsfrequency
    voltage float8 ~ unitselectricpotential
    zoom float8
    binning int8 -> binning
    detector int8 NOT NULL -> detector
$$);
SELECT pg_temp.entity('transmittancerange', $$
    cutin positive_float ~ unitslength
    cutintolerance nonnegative_float ~ unitslength
    cutout positive_float ~ unitslength
    cutouttolerance nonnegative_float ~ unitslength
    transmittance percent_fraction
$$);
SELECT pg_temp.entity('filterset', $$
    lotnumber varchar(255)
    manufacturer varchar(255)
    model varchar(255)
    serialnumber varchar(255)
    dichroic int8 -> dichroic
    instrument int8 NOT NULL -> instrument
$$);
SELECT pg_temp.link('filtersetemissionfilterlink', 'filterset', 'filter');
SELECT pg_temp.link('filtersetexcitationfilterlink', 'filterset', 'filter');
SELECT pg_temp.entity('otf', $$
    opticalaxisaveraged boolean NOT NULL
    path varchar(255) NOT NULL
    sizex positive_int NOT NULL
    sizey positive_int NOT NULL
    filterset int8 -> filterset
    instrument int8 NOT NULL -> instrument
    objective int8 NOT NULL -> objective
    pixelstype int8 NOT NULL -> pixelstype
$$);
SELECT pg_temp.entity('lightsettings', $$
    attenuation percent_fraction
    wavelength positive_float ~ unitslength
    lightsource int8 NOT NULL -> lightsource
    microbeammanipulation int8 -> microbeammanipulation
$$);

SELECT pg_temp.kind_of('arc', 'lightsource', 'type int8 NOT NULL -> arctype');
SELECT pg_temp.kind_of('filament', 'lightsource', 'type int8 NOT NULL -> filamenttype');
SELECT pg_temp.kind_of('lightemittingdiode', 'lightsource');
SELECT pg_temp.kind_of('genericexcitationsource', 'lightsource');
SELECT pg_temp.map_of('genericexcitationsource', 'map');
SELECT pg_temp.kind_of('laser', 'lightsource', $$
    frequencymultiplication positive_int
    pockelcell boolean
    repetitionrate float8 ~ unitsfrequency
    tuneable boolean
    wavelength positive_float ~ unitslength
    lasermedium int8 NOT NULL -> lasermedium
    pulse int8 -> pulse
    pump int8 -> lightsource
    type int8 NOT NULL -> lasertype
$$);
