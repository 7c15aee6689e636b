import pytest

from skymix.errors import StudyError
from skymix.study import Beta, Dirichlet, Fixed, Split, study_from_mapping


def test_leaves_and_nodes_are_in_the_order_of_the_file(raw):
    tree = study_from_mapping(raw).tree
    assert tree.leaves() == ["dark_matter", "cosmic_rays", "central_source", "diffuse"]
    assert tree.nodes() == [
        "dark_matter",
        "background",
        "cosmic_rays",
        "central_source",
        "diffuse",
    ]


@pytest.mark.parametrize(
    ("prior", "kind"),
    [
        ({"dirichlet": [1, 2]}, Dirichlet),
        ({"beta": [2, 5]}, Beta),
        ({"fixed": [0.25, 0.75]}, Fixed),
        (None, type(None)),
    ],
)
def test_priors_of_a_split(prior, kind):
    split = Split.model_validate({"prior": prior, "children": {"a": None, "b": None}})
    assert isinstance(split.prior, kind)


def test_depth_is_free(raw):
    inner = raw["tree"]["children"].pop("background")
    raw["tree"]["children"]["astrophysics"] = {"children": {"all": inner}}
    study = study_from_mapping(raw)
    assert study.tree.leaves() == ["dark_matter", "cosmic_rays", "central_source", "diffuse"]


def test_inner_node_may_not_have_the_name_of_a_leaf(raw):
    raw["tree"]["children"]["diffuse"] = raw["tree"]["children"].pop("background")
    with pytest.raises(StudyError, match="'diffuse' appears more than once"):
        study_from_mapping(raw)


def test_study_cannot_be_changed(raw):
    study = study_from_mapping(raw)
    with pytest.raises(ValueError, match="frozen"):
        study.seed = 5
