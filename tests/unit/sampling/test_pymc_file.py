"""PyMC models of Python files: what the function gets, and what a user is told when it is wrong."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from skymix.errors import SkymixError
from skymix.sampling import ModelFile

GOOD = """
import pymc as pm

def model(centre, data=None, scale=1.0):
    with pm.Model() as found:
        x = pm.Normal("x", centre, scale)
        pm.Normal("y", x, 1.0, observed=len(data.name))
    return found
"""


def model_file(text=GOOD, function="model", **arguments):
    return ModelFile(Path("own.py"), text, function, arguments, Path("folder"))


def test_function_gets_its_arguments_and_the_data_folder():
    problem = model_file(centre=3, scale=2.0).problem()
    assert problem.names == ("x",)
    half = np.array([[0.5]])
    assert problem.prior_transform(half)[0, 0] == pytest.approx(3)
    expected = -0.5 * np.log(2 * np.pi) - 0.5 * (len("folder") - 3) ** 2
    assert problem.log_likelihood(np.array([[3.0]]))[0] == pytest.approx(expected)


def test_a_file_that_goes_elsewhere_moves_nothing(tmp_path):
    here = Path.cwd()
    text = f"import os\nos.chdir({str(tmp_path)!r})\n" + GOOD
    model_file(text, centre=3).model()
    assert Path.cwd() == here


def test_problem_is_made_again_on_the_other_side():
    problem = model_file(centre=3).problem()
    other = pickle.loads(pickle.dumps(problem, protocol=5))
    u = np.linspace(0.1, 0.9, 5)[:, None]
    theta = problem.prior_transform(u)
    assert other.names == problem.names
    assert np.array_equal(other.prior_transform(u), theta)
    assert np.array_equal(other.log_likelihood(theta), problem.log_likelihood(theta))


def lines(*body):
    return "\n".join(["import pymc as pm", "def model():", *(f"    {line}" for line in body), ""])


SHAPES = lines(
    "with pm.Model() as m:",
    "    x = pm.Normal('x', shape=2)",
    "    pm.Normal('y', x, 1, observed=[1.0, 2.0, 3.0])",
    "return m",
)


NAN = lines(
    "with pm.Model() as m:",
    "    x = pm.Normal('x')",
    "    pm.Normal('y', x * pm.math.sqrt(-1.0), 1, observed=0.0)",
    "return m",
)


@pytest.mark.parametrize(
    "end", ["model = functools.cache(model)", "model = functools.partial(model, 3)"]
)
def test_function_may_be_wrapped(end):
    made = model_file(f"import functools\n{GOOD}\n{end}\n", **({} if "3" in end else {"centre": 3}))
    assert [v.name for v in made.model().free_RVs] == ["x"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": "def model(:\n"}, r"own\.py, line 1: SyntaxError: .*; mend the file"),
        ({"text": "import a_module_that_is_not\n"}, r"own\.py, line 1: ModuleNotFoundError: No"),
        ({"function": "modle"}, r"own\.py: has no function 'modle'; its functions are model"),
        ({"text": "model = 3\n"}, r"own\.py: 'model' is no function; its functions are none"),
        ({"centre": 0, "width": 1}, r"has no argument 'width'; its arguments are centre, scale"),
        ({}, r"'model' needs the argument 'centre'"),
        ({"text": lines("return 5")}, r"'model' returns int, not a pm\.Model; end it with"),
        ({"text": lines("1 / 0")}, r"own\.py, line 3: ZeroDivisionError: division by zero"),
        ({"text": lines("open('missing.csv')")}, r"line 3: FileNotFoundError: .*missing\.csv"),
        ({"text": lines("raise SystemExit")}, r"own\.py, line 3: SystemExit; mend the file"),
        (
            {"text": lines("with pm.Model() as m:", "    pm.Flat('f')", "return m")},
            r"own\.py: the model has no likelihood",
        ),
        ({"text": NAN}, r"own\.py: the likelihood is NaN in the middle of the prior; look for NaN"),
        ({"text": SHAPES}, r"own\.py.*; (check the shapes|mend the file)"),
    ],
)
def test_bad_file_is_one_sentence(changes, message):
    with pytest.raises(SkymixError, match=message) as caught:
        model_file(**changes).problem()
    assert "\n" not in str(caught.value)
