-- Value types: bounded numbers, and units of measure whose names are not all ASCII.

CREATE DOMAIN nonnegative_int AS int4 CHECK (VALUE >= 0);
CREATE DOMAIN nonnegative_float AS float8 CHECK (VALUE >= 0);
CREATE DOMAIN positive_int AS int4 CHECK (VALUE > 0);
CREATE DOMAIN positive_float AS float8 CHECK (VALUE > 0);
CREATE DOMAIN percent_fraction AS float8 CHECK (VALUE >= 0 AND VALUE <= 1);

CREATE TYPE unitslength AS ENUM ('km', 'm', 'cm', 'mm', 'µm', 'nm', 'pm', 'Å', 'in', 'pt', 'pixel', 'reference frame');
CREATE TYPE unitstime AS ENUM ('d', 'h', 'min', 's', 'ms', 'µs', 'ns');
CREATE TYPE unitspower AS ENUM ('kW', 'W', 'mW', 'µW', 'nW');
CREATE TYPE unitspressure AS ENUM ('Pa', 'hPa', 'kPa', 'bar', 'mbar', 'atm', 'mm Hg');
CREATE TYPE unitstemperature AS ENUM ('°C', '°F', 'K');
CREATE TYPE unitsfrequency AS ENUM ('GHz', 'MHz', 'kHz', 'Hz');
CREATE TYPE unitselectricpotential AS ENUM ('kV', 'V', 'mV', 'µV');
