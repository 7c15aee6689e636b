"""What a numba kernel calls is part of it.

A callee of its own would be taken from whatever the process has compiled before, so that the last
bits of a result could depend on the history of the process that made it.
"""

import ast
from pathlib import Path

import pytest

import skymix

ROOT = Path(skymix.__file__).parent
MODULES = [p for p in sorted(ROOT.rglob("*.py")) if "njit" in p.read_text(encoding="utf-8")]


def kernels(tree: ast.Module) -> dict[str, tuple[ast.FunctionDef, dict[str, object]]]:
    """Functions that numba compiles, and how, by name."""
    found = {}
    for function in ast.walk(tree):
        for how in function.decorator_list if isinstance(function, ast.FunctionDef) else []:
            if isinstance(how, ast.Call) and ast.unparse(how.func) == "njit":
                found[function.name] = function, {k.arg: ast.unparse(k.value) for k in how.keywords}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_callees_are_inlined(path) -> None:
    found = kernels(ast.parse(path.read_text(encoding="utf-8")))
    assert found
    called = {
        node.func.id
        for function, _ in found.values()
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    for name, (_, how) in found.items():
        inlined = how.get("forceinline") == "True" or how.get("inline") == "'always'"
        assert inlined == (name in called), name
