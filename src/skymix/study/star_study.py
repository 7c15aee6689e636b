"""The study of a catalogue of stars."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from skymix.study.analysis import Analysis
from skymix.study.likelihood import Name
from skymix.study.mixture import NestedSampler, NutsSampler, Split, sampler_kind
from skymix.study.quantities import Section
from skymix.study.star_components import NormalDensity, StarComponent, factors_of
from skymix.study.stars import CatalogueSettings, SkyRegion

StarSampler = Annotated[
    Annotated[NestedSampler, Tag("nested")] | Annotated[NutsSampler, Tag("nuts")],
    Discriminator(sampler_kind),
]


class Control(Section):
    """A region without the cluster, whose stars fix components before the fit."""

    node: Name = Field(
        description="Component, or split of the tree, that is fitted to its stars and then fixed."
    )
    region: SkyRegion = Field(description="The region; no star of the fit may be in it.")


class StarStudy(Analysis):
    """Everything that one analysis of stars is made of."""

    domain: Literal["stars"] = Field(description="What is analysed: gamma rays or stars.")
    catalogue: CatalogueSettings = Field(description="The stars.")
    components: dict[Name, StarComponent] = Field(
        min_length=1, description="Densities of the components by name."
    )
    tree: Split = Field(description="How the components share the stars.")
    control: Control | None = Field(
        default=None, description="Control region that fixes the field; fitted with the rest else."
    )
    sampler: StarSampler = Field(default=NestedSampler(), description="The sampler.")

    @model_validator(mode="after")
    def _tree_matches_components(self) -> "StarStudy":
        self.tree.check_components(set(self.components))
        labels = self.catalogue.labels
        if labels is not None and labels.component not in self.tree.nodes():
            raise ValueError(
                f"catalogue.labels.component: '{labels.component}' is no component and no split"
            )
        return self

    @model_validator(mode="after")
    def _control_is_of_normals(self) -> "StarStudy":
        if self.control is None:
            return self
        node = self.control.node
        if node not in self.tree.nodes():
            raise ValueError(f"control.node: '{node}' is no component and no split")
        fixed = self.fixed_leaves()
        if len(fixed) == len(self.tree.leaves()):
            raise ValueError(f"control.node: '{node}' is all there is; nothing is left to fit")
        for name in fixed:
            component = self.components[name]
            kinds = {factor.kind for factor in factors_of(component)}
            if kinds != {"normal"} or set(component.coordinates()) != set(
                self.catalogue.coordinates
            ):
                raise ValueError(
                    f"control.node: component '{name}' is no normal density of all coordinates;"
                    " only such are fitted to a control region"
                )
        return self

    def fixed_leaves(self) -> list[str]:
        """Components that the control region fixes."""
        if self.control is None:
            return []
        split = self.tree.splits().get(self.control.node)
        return split.leaves() if split is not None else [self.control.node]

    @model_validator(mode="after")
    def _components_fit_coordinates(self) -> "StarStudy":
        known = self.catalogue.coordinates
        for name, component in self.components.items():
            used = component.coordinates()
            if len(set(used)) < len(used):
                raise ValueError(f"components.{name}: two of its factors share a coordinate")
            for coordinate in used:
                self._check_coordinate(name, coordinate)
            factors = factors_of(component)
            if sum(getattr(f, "shape", "") == "isotropic" for f in factors) > 1:
                raise ValueError(
                    f"components.{name}: only one of its factors may be isotropic; write the others"
                    " as diagonal"
                )
            for factor in factors:
                if factor.kind in ("space_density", "distance"):
                    (coordinate,) = factor.coordinates()
                    if known[coordinate].unit != "mas" or known[coordinate].error is None:
                        raise ValueError(
                            f"components.{name}: '{coordinate}' must be a parallax with the unit"
                            " mas and an error column"
                        )
        for correlation in self.catalogue.correlations:
            self._check_correlation(*correlation.between)
        return self

    def _check_coordinate(self, component: str, coordinate: str) -> None:
        if coordinate == "sky":
            if self.catalogue.region is None:
                raise ValueError(
                    f"components.{component}: a profile on the sky needs catalogue.region, over"
                    " which it is normalised"
                )
        elif coordinate not in self.catalogue.coordinates:
            raise ValueError(
                f"components.{component}: '{coordinate}' is not a coordinate; coordinates are"
                f" {', '.join(self.catalogue.coordinates)}"
            )

    def _check_correlation(self, one: str, other: str) -> None:
        """Refuse a component that would leave correlated errors out of account."""
        for name, component in self.components.items():
            for factor in factors_of(component):
                used = factor.coordinates()
                if (one in used) != (other in used) or (
                    one in used and not isinstance(factor, NormalDensity)
                ):
                    raise ValueError(
                        f"components.{name}: the errors of '{one}' and '{other}' are correlated;"
                        " one normal density must have both"
                    )

    def fitted(self) -> dict[str, tuple[str, ...]]:
        """The one fit of the study: that of all stars."""
        return {"stars": ("stars",)}
