"""Run the measurements.

python -m benchmarks                        all of them, printed
python -m benchmarks sampling --repeats 3   one of them
python -m benchmarks --write                also into benchmarks/results.json and the table of the README
python -m benchmarks trainers_sd15          one of those that take long and much memory: only where named
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.frame import Report, described, machine

NAMES = (
    *("loading", "checkpoints", "sampling", "against_diffusers", "reuse", "sampling_memory", "compiling"),
    *("training_step", "training_options", "training_memory", "trainers", "feeding", "shapes_conditions"),
    *("building", "sd15"),  # the last: from then on the process keeps the memory that it frees
)
# Many minutes, or files and memory of 6 to 16 GB.
LONG = ("training_step_sd15", "trainers_sd15", "large_files", "serving_load")
HOME = Path(__file__).parent
BEGIN, END = "<!-- results -->", "<!-- end of results -->"


def main(arguments: Sequence[str] | None = None, home: Path = HOME) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"some of {', '.join(NAMES)}, all if none; or of {', '.join(LONG)}",
    )
    parser.add_argument("--repeats", type=int, help="how often each thing is done; each has its own default")
    parser.add_argument("--write", action="store_true", help="keep the results, too")
    given = parser.parse_args(arguments)
    if unknown := sorted(set(given.names) - {*NAMES, *LONG}):
        parser.error(f"there is no measurement {', '.join(unknown)}; there are {', '.join(NAMES + LONG)}")
    how = {} if given.repeats is None else {"repeats": given.repeats}
    reports: list[Report] = []
    for name in given.names or NAMES:
        reports.append(_measurement(name)(**how))
        print(f"{reports[-1].table()}\n", flush=True)
    found = {"machine": machine(), "reports": [report.values() for report in reports]}
    print(described(found["machine"]))
    if given.write:
        write(found, home)
    return 0


def _measurement(name: str) -> Callable[..., Report]:
    """Find a file's `measure`, or its `measure_sd15`."""
    file = name.removesuffix("_sd15") if name in LONG else name
    return getattr(import_module(f"benchmarks.{file}"), "measure" if file == name else "measure_sd15")


def write(found: Mapping[str, Any], home: Path) -> None:
    """Put results into results.json, beside those of measurements not made now, and into the README."""
    path = home / "results.json"
    kept = json.loads(path.read_text(encoding="utf-8"))["reports"] if path.is_file() else []
    reports = {report["name"]: report for report in [*kept, *found["reports"]]}
    ordered = [reports[name] for name in NAMES + LONG if name in reports]
    results = {"machine": found["machine"], "reports": ordered}
    path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    readme = home / "README.md"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(with_results(text, results), encoding="utf-8")


def with_results(text: str, results: Mapping[str, Any]) -> str:
    """Return a README with the tables of these results between its two marks."""
    tables = [Report.of(values).table() for values in results["reports"]]
    block = "\n\n".join([BEGIN, f"On {described(results['machine'])}:", *tables, END])
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"the README has no {BEGIN} … {END} to put the results between")
    return pattern.sub(lambda _: block, text)


if __name__ == "__main__":
    sys.exit(main())
