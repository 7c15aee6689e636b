"""A PyMC model that a function in a Python file returns."""

import contextlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard

import numpy as np

from skymix.errors import SkymixError
from skymix.sampling.pymc_import import import_pymc
from skymix.sampling.pymc_problem import PymcProblem, problem_from_pymc

_DATA = "data"


@dataclass(frozen=True)
class ModelFile:
    """How to make a PyMC model; small, and fit to be sent to another process.

    Parameters
    ----------
    path : of the file, for messages
    text : its content
    function : name of the function that returns the model
    arguments : of the function, by name
    data : folder of the data files; given to the function if it has an argument `data`
    """

    path: Path
    text: str
    function: str
    arguments: Mapping[str, Any]
    data: Path

    def model(self) -> Any:
        """Call the function.

        Raises
        ------
        SkymixError
            If there is no such function, it does not take these arguments, fails or returns
            something else than a PyMC model.
        """
        pm = import_pymc()
        function = self._function()
        known = inspect.signature(function).parameters
        data = {_DATA: self.data} if _DATA in known else {}
        self._check_arguments(known, {*self.arguments, *data})
        model = self._run(lambda: function(**self.arguments, **data))
        if not isinstance(model, pm.Model):
            raise SkymixError(
                f"{self.path}: the function '{self.function}' returns {type(model).__name__}, not a"
                " pm.Model; end it with 'return' and the model"
            )
        return model

    def problem(self) -> PymcProblem:
        """Prior and likelihood of the model, which can be sent to other processes.

        Raises
        ------
        SkymixError
            If the model cannot be made, is none for nested sampling, or cannot be computed.
        """
        model = self.model()
        try:
            problem = problem_from_pymc(model)
            _check_likelihood(problem)
        except SkymixError as error:
            raise SkymixError(f"{self.path}: {error}") from None
        except Exception as error:  # PyTensor fails in many ways on graphs that a user wrote
            raise SkymixError(
                f"{self.path}: the model of '{self.function}' cannot be computed"
                f" ({_sentence(error)}); check the shapes of its variables and data"
            ) from None
        return replace(problem, remade=self.problem)

    def _function(self) -> Callable[..., Any]:
        # Registered, since classes of the file look for the module that they belong to.
        module = ModuleType(f"_skymix_model_{self.path.stem}")
        module.__file__ = str(self.path)
        sys.modules[module.__name__] = module
        self._run(lambda: exec(compile(self.text, str(self.path), "exec"), module.__dict__))
        found = vars(module).get(self.function)
        if _is_function(found):
            return found
        own = [
            name
            for name, value in vars(module).items()
            if _is_function(value) and getattr(value, "__module__", None) == module.__name__
        ]
        wrong = (
            f"'{self.function}' is no function"
            if self.function in vars(module)
            else f"has no function '{self.function}'"
        )
        raise SkymixError(f"{self.path}: {wrong}; its functions are {', '.join(own) or 'none'}")

    def _check_arguments(self, known: Mapping[str, inspect.Parameter], given: set[str]) -> None:
        of = f"{self.path}: the function '{self.function}'"
        if any(p.kind is p.VAR_KEYWORD for p in known.values()):
            return
        if unknown := given - set(known):
            own = ", ".join(name for name in known if name != _DATA) or "none"
            raise SkymixError(f"{of} has no argument '{min(unknown)}'; its arguments are {own}")
        needed = {name for name, p in known.items() if p.default is p.empty}
        if missing := needed - given - {n for n, p in known.items() if p.kind is p.VAR_POSITIONAL}:
            raise SkymixError(f"{of} needs the argument '{min(missing)}'; add it to the arguments")

    def _run(self, call: Callable[[], Any]) -> Any:
        """Run what a user wrote; what it raises becomes a sentence with its place."""
        try:
            with contextlib.chdir(os.getcwd()):  # back to this folder, wherever it goes
                return call()
        except (Exception, SystemExit) as error:
            raise SkymixError(f"{self._place(error)}: {_sentence(error)}; mend the file") from None

    def _place(self, error: BaseException) -> str:
        """File and the last of its lines that was being run, or cannot be read."""
        if isinstance(error, SyntaxError) and error.filename == str(self.path):
            return f"{self.path}, line {error.lineno}"
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(self.path)]
        return f"{self.path}, line {lines[-1]}" if lines else str(self.path)


def _is_function(value: Any) -> TypeGuard[Callable[..., Any]]:
    """Whether a value can be called and its arguments are known, as of a cached or partial one."""
    if not callable(value):
        return False
    try:
        inspect.signature(value)
    except (TypeError, ValueError):
        return False
    return True


def _check_likelihood(problem: PymcProblem) -> None:
    # At two points: a density of sin(x) / x has no value at just one.
    near_middle = np.array([[0.5], [0.4]]) * np.ones(problem.ndim)
    values = problem.log_likelihood(problem.prior_transform(near_middle))
    if np.isnan(values).all():
        raise SkymixError(
            "the likelihood is NaN in the middle of the prior; look for NaN in the data, and for"
            " observed variables or potentials without a value there"
        )


def _sentence(error: BaseException) -> str:
    """Kind and first line of an error."""
    text = error.msg if isinstance(error, SyntaxError) else str(error).strip()
    return ": ".join(filter(None, (type(error).__name__, text.partition("\n")[0].rstrip("."))))
