-- Images: pixels, channels, how they were taken, how they are shown, and what they are sorted into.

SELECT pg_temp.enumeration('format', 'Fake|Tiff|OME-TIFF|Deltavision|CZI|LIF|PerkinElmer|Companion/OME-TIFF');
SELECT pg_temp.enumeration('dimensionorder', 'XYZCT|XYZTC|XYCTZ|XYCZT|XYTCZ|XYTZC');
SELECT pg_temp.enumeration('photometricinterpretation', 'RGB|ARGB|CMYK|HSV|Monochrome|ColorMap');
SELECT pg_temp.enumeration('acquisitionmode', 'WideField|LaserScanningConfocalMicroscopy|SpinningDiskConfocal|TIRF|Other|Unknown');
SELECT pg_temp.enumeration('illumination', 'Transmitted|Epifluorescence|Oblique|NonLinear|Other|Unknown');
SELECT pg_temp.enumeration('contrastmethod', 'Brightfield|Phase|DIC|Fluorescence|Other|Unknown');
SELECT pg_temp.enumeration('experimenttype', 'FP|FRET|TimeLapse|FourDPlus|Screen|Immunofluorescence|Other|Unknown');
SELECT pg_temp.enumeration('renderingmodel', 'rgb|greyscale');
SELECT pg_temp.enumeration('family', 'linear|polynomial|exponential|logarithmic');

SELECT pg_temp.constant_global('pixelstype', $$
    value varchar(255) NOT NULL UNIQUE
    bitsize int4 NOT NULL
$$);
INSERT INTO pixelstype (id, permissions, value, bitsize)
SELECT nextval('seq_pixelstype'), -52, t.value, t.bits
FROM (VALUES ('bit', 1), ('int8', 8), ('int16', 16), ('int32', 32), ('uint8', 8), ('uint16', 16), ('uint32', 32),
             ('float', 32), ('double', 64), ('complex', 64), ('double-complex', 128)) AS t(value, bits);

SELECT pg_temp.entity('project', $$
    description text
    name text NOT NULL
$$);
SELECT pg_temp.entity('dataset', $$
    description text
    name text NOT NULL
$$);
SELECT pg_temp.entity('folder', $$
    description text
    name text NOT NULL
    parentfolder int8 -> folder
$$);
SELECT pg_temp.entity('experiment', $$
    description text
    type int8 NOT NULL -> experimenttype
$$);
SELECT pg_temp.enumeration('microbeammanipulationtype', 'FRAP|FLIP|InverseFRAP|Photoactivation|Uncaging|OpticalTrapping|Other|Unknown');
SELECT pg_temp.entity('microbeammanipulation', $$
    description text
    experiment int8 NOT NULL -> experiment
    type int8 NOT NULL -> microbeammanipulationtype
$$);

SELECT pg_temp.entity('imagingenvironment', $$
    airpressure float8 ~ unitspressure
    co2percent percent_fraction
    humidity percent_fraction
    temperature float8 ~ unitstemperature
$$);
SELECT pg_temp.map_of('imagingenvironment', 'map');
SELECT pg_temp.entity('stagelabel', $$
    name text NOT NULL
    positionx float8 ~ unitslength
    positiony float8 ~ unitslength
    positionz float8 ~ unitslength
$$);

SELECT pg_temp.entity('image', $$
    acquisitiondate timestamp
    archived boolean
    description text
    name text NOT NULL
    partial boolean
    series nonnegative_int NOT NULL DEFAULT 0
    experiment int8 -> experiment
    fileset int8 -> fileset
    format int8 -> format
    imagingenvironment int8 -> imagingenvironment
    instrument int8 -> instrument
    objectivesettings int8 -> objectivesettings
    stagelabel int8 -> stagelabel
$$);
SELECT pg_temp.entity('pixels', $$
    methodology varchar(255)
    physicalsizex positive_float ~ unitslength
    physicalsizey positive_float ~ unitslength
    physicalsizez positive_float ~ unitslength
    sha1 varchar(255) NOT NULL
    significantbits positive_int
    sizec positive_int NOT NULL
    sizet positive_int NOT NULL
    sizex positive_int NOT NULL
    sizey positive_int NOT NULL
    sizez positive_int NOT NULL
    timeincrement float8 ~ unitstime
    waveincrement int4
    wavestart int4
    dimensionorder int8 NOT NULL -> dimensionorder
    image int8 NOT NULL -> image
    pixelstype int8 NOT NULL -> pixelstype
    relatedto int8 -> pixels
    image_index int4 NOT NULL
    path text
    name text
    repo varchar(36)
$$);
ALTER TABLE pixels ADD UNIQUE (image, image_index);
CREATE INDEX pixels_repo_index ON pixels (repo);

SELECT pg_temp.entity('logicalchannel', $$
    emissionwave positive_float ~ unitslength
    excitationwave positive_float ~ unitslength
    fluor varchar(255)
    name text
    ndfilter float8
    pinholesize float8 ~ unitslength
    pockelcellsetting int4
    samplesperpixel positive_int
    contrastmethod int8 -> contrastmethod
    detectorsettings int8 -> detectorsettings
    filterset int8 -> filterset
    illumination int8 -> illumination
    lightpath int8 -> lightpath
    lightsourcesettings int8 -> lightsettings
    "mode" int8 -> acquisitionmode
    otf int8 -> otf
    photometricinterpretation int8 -> photometricinterpretation
$$);
SELECT pg_temp.entity('statsinfo', $$
    globalmax float8 NOT NULL
    globalmin float8 NOT NULL
$$);
SELECT pg_temp.entity('channel', $$
    alpha int4
    blue int4
    green int4
    lookuptable text
    red int4
    logicalchannel int8 NOT NULL -> logicalchannel
    pixels int8 NOT NULL -> pixels
    statsinfo int8 -> statsinfo
    pixels_index int4 NOT NULL
$$);
ALTER TABLE channel ADD UNIQUE (pixels, pixels_index);
SELECT pg_temp.entity('planeinfo', $$
    deltat float8 ~ unitstime
    exposuretime float8 ~ unitstime
    positionx float8 ~ unitslength
    positiony float8 ~ unitslength
    positionz float8 ~ unitslength
    thec nonnegative_int NOT NULL
    thet nonnegative_int NOT NULL
    thez nonnegative_int NOT NULL
    pixels int8 NOT NULL -> pixels
$$);

SELECT pg_temp.entity('thumbnail', $$
    mimetype varchar(255) NOT NULL
    "ref" varchar(255)
    sizex int4 NOT NULL
    sizey int4 NOT NULL
    pixels int8 NOT NULL -> pixels
$$);
SELECT pg_temp.entity('quantumdef', $$
    bitresolution int4 NOT NULL
    cdend int4 NOT NULL
    cdstart int4 NOT NULL
$$);
SELECT pg_temp.entity('renderingdef', $$
    compression float8
    defaultt int4 NOT NULL
    defaultz int4 NOT NULL
    name text
    model int8 NOT NULL -> renderingmodel
    pixels int8 NOT NULL -> pixels
    quantization int8 NOT NULL -> quantumdef
$$);
SELECT pg_temp.entity('channelbinding', $$
    active boolean NOT NULL
    alpha int4 NOT NULL
    blue int4 NOT NULL
    coefficient float8 NOT NULL
    green int4 NOT NULL
    inputend float8 NOT NULL
    inputstart float8 NOT NULL
    lookuptable varchar(255)
    noisereduction boolean NOT NULL
    red int4 NOT NULL
    family int8 NOT NULL -> family
    renderingdef int8 NOT NULL -> renderingdef
    renderingdef_index int4 NOT NULL
$$);
ALTER TABLE channelbinding ADD UNIQUE (renderingdef, renderingdef_index);
SELECT pg_temp.entity('codomainmapcontext', $$
    channelbinding int8 NOT NULL -> channelbinding
    channelbinding_index int4 NOT NULL
$$);
ALTER TABLE codomainmapcontext ADD UNIQUE (channelbinding, channelbinding_index);
SELECT pg_temp.kind_of('contraststretchingcontext', 'codomainmapcontext', $$
    xend int4 NOT NULL
    xstart int4 NOT NULL
    yend int4 NOT NULL
    ystart int4 NOT NULL
$$);
SELECT pg_temp.kind_of('planeslicingcontext', 'codomainmapcontext', $$
    "constant" boolean NOT NULL
    lowerlimit int4 NOT NULL
    planeprevious int4 NOT NULL
    planeselected int4 NOT NULL
    upperlimit int4 NOT NULL
$$);
SELECT pg_temp.kind_of('reverseintensitycontext', 'codomainmapcontext', '"reverse" boolean NOT NULL');
SELECT pg_temp.enumeration('projectionaxis', 'Z|T|ModuloZ|ModuloT|ModuloC');
SELECT pg_temp.enumeration('projectiontype', 'mean|maximum|sum');
SELECT pg_temp.entity('projectiondef', $$
    active boolean NOT NULL
    endplane nonnegative_int
    startplane nonnegative_int
    stepping positive_int
    axis int8 NOT NULL -> projectionaxis
    renderingdef int8 NOT NULL -> renderingdef
    type int8 NOT NULL -> projectiontype
    renderingdef_index int4 NOT NULL
$$);
ALTER TABLE projectiondef ADD UNIQUE (renderingdef, renderingdef_index);

SELECT pg_temp.entity('roi', $$
    description text
    name text
    image int8 -> image
    source int8 -> originalfile
$$);
CREATE INDEX roi_name ON roi (name);
SELECT pg_temp.entity('affinetransform', $$
    a00 float8 NOT NULL
    a01 float8 NOT NULL
    a02 float8 NOT NULL
    a10 float8 NOT NULL
    a11 float8 NOT NULL
    a12 float8 NOT NULL
$$);
SELECT pg_temp.entity('shape', $$
    discriminator varchar(31) NOT NULL
    fillcolor int4
    fillrule varchar(255)
    fontfamily varchar(255)
    fontsize float8 ~ unitslength
    fontstyle varchar(255)
    locked boolean
    strokecolor int4
    strokedasharray varchar(255)
    strokewidth float8 ~ unitslength
    textvalue text
    thec int4
    thet int4
    thez int4
    height float8
    width float8
    x float8
    y float8
    x1 float8
    x2 float8
    y1 float8
    y2 float8
    radiusx float8
    radiusy float8
    points text
    d text
    bytes bytea
    markerstart varchar(255)
    markerend varchar(255)
    roi int8 NOT NULL -> roi
    transform int8 -> affinetransform
    pixels int8 -> pixels
    roi_index int4 NOT NULL
$$);
ALTER TABLE shape ADD UNIQUE (roi, roi_index);

SELECT pg_temp.link('projectdatasetlink', 'project', 'dataset');
SELECT pg_temp.link('datasetimagelink', 'dataset', 'image');
SELECT pg_temp.link('folderimagelink', 'folder', 'image');
SELECT pg_temp.link('folderroilink', 'folder', 'roi');
