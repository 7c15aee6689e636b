"""Run the benchmarks and print one line a figure: name, value, unit.

A benchmark is a module ``benchmarks/bench_<name>.py`` with a function
``run() -> Iterable[tuple[str, float, str]]``. One that takes many minutes says ``LONG = True`` and
runs only where it is named.
"""

import importlib
import pkgutil
import sys

import benchmarks

PREFIX = "bench_"


def available() -> list[str]:
    """Return the names of the benchmarks, sorted."""
    modules = (module.name for module in pkgutil.iter_modules(benchmarks.__path__))
    return sorted(name.removeprefix(PREFIX) for name in modules if name.startswith(PREFIX))


def main(arguments: list[str]) -> int:
    """Run all benchmarks, or the one that is named, and return the exit status."""
    names = available()
    if len(arguments) > 1:
        print("usage: python -m benchmarks [ONLY]", file=sys.stderr)
        return 2
    if arguments:
        only = arguments[0].removeprefix(PREFIX)
        if only not in names:
            known = ", ".join(names) or "none yet"
            print(f"There is no benchmark {only!r}; there are: {known}.", file=sys.stderr)
            return 2
        names = [only]
    for name in names:
        module = importlib.import_module(f"benchmarks.{PREFIX}{name}")
        if not arguments and getattr(module, "LONG", False):
            continue
        for figure, value, unit in module.run():
            print(f"{figure} {value:.6g} {unit}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
