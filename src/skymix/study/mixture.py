"""Settings of the mixture tree, the marginalisation and the sampler."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, PositiveInt, Tag, model_validator

from skymix.study.quantities import Default, Memory, PositiveNumber, Section, Seed


class Dirichlet(Section):
    """Dirichlet prior of the fractions of a split."""

    dirichlet: tuple[PositiveNumber, ...] = Field(description="Concentrations, one a child.")


class Beta(Section):
    """Beta prior of the first of two fractions."""

    beta: tuple[PositiveNumber, PositiveNumber] = Field(description="The two shape parameters.")


class Fixed(Section):
    """Fractions that are given."""

    fixed: tuple[PositiveNumber, ...] = Field(description="Fractions, one a child, adding up to 1.")

    @model_validator(mode="after")
    def _sum(self) -> "Fixed":
        if abs(sum(self.fixed) - 1) > 1e-9:
            raise ValueError(f"fixed: the fractions add up to {sum(self.fixed):g}, not to 1")
        return self


def _prior_kind(value: Any) -> str | None:
    for kind in ("dirichlet", "beta", "fixed"):
        if (isinstance(value, dict) and kind in value) or hasattr(value, kind):
            return kind
    return None


SplitPrior = Annotated[
    Annotated[Dirichlet, Tag("dirichlet")]
    | Annotated[Beta, Tag("beta")]
    | Annotated[Fixed, Tag("fixed")],
    Discriminator(
        _prior_kind,
        custom_error_type="split_prior",
        custom_error_message="a prior of fractions is one of {dirichlet: [...]},"
        " {beta: [a, b]} and {fixed: [...]}",
    ),
]


class Split(Section):
    """An inner node of the tree: shares its weight among its children."""

    prior: SplitPrior | None = Field(
        default=None, description="Prior of the fractions; if absent a flat Dirichlet."
    )
    children: "dict[str, Split | None]" = Field(
        min_length=1,
        description="Children by name: nothing after a component's name, or another split.",
    )

    @model_validator(mode="after")
    def _sizes(self) -> "Split":
        n = len(self.children)
        prior = self.prior
        if isinstance(prior, Beta) and n != 2:
            raise ValueError(f"a beta prior is for two children, here are {n}")
        values = (
            prior.dirichlet
            if isinstance(prior, Dirichlet)
            else prior.fixed
            if isinstance(prior, Fixed)
            else None
        )
        if values is not None and len(values) != n:
            raise ValueError(f"the prior has {len(values)} values for {n} children")
        return self

    def leaves(self) -> list[str]:
        """Names of the leaves, in the order of the file."""
        return [
            leaf
            for name, child in self.children.items()
            for leaf in (child.leaves() if child is not None else [name])
        ]

    def check_components(self, known: set[str]) -> None:
        """Raise ValueError unless the leaves are the components and all names differ."""
        leaves = self.leaves()
        for leaf in leaves:
            if leaf not in known:
                raise ValueError(
                    f"tree: '{leaf}' is not a component; components are {_names(known)}"
                )
        missing = known - set(leaves)
        if missing:
            raise ValueError(
                f"tree: leaves out the component {_names(missing)}; add it as a leaf or delete it"
            )
        nodes = self.nodes()
        twice = {node for node in nodes if nodes.count(node) > 1}
        if twice:
            raise ValueError(f"tree: {_names(twice)} appears more than once; names must be unique")

    def splits(self) -> "dict[str, Split]":
        """All splits below this one, by name."""
        found: dict[str, Split] = {}
        for name, child in self.children.items():
            if child is not None:
                found |= {name: child, **child.splits()}
        return found

    def leaves_of(self, name: str) -> list[str]:
        """Leaves that a name stands for: those below the split of this name, else itself."""
        split = self.splits().get(name)
        return [name] if split is None else split.leaves()

    def nodes(self) -> list[str]:
        """Names of all nodes below this one."""
        return [
            node
            for name, child in self.children.items()
            for node in [name, *(child.nodes() if child is not None else [])]
        ]


def _names(names: set[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names)) or "none"


class Marginalisation(Section):
    """How the integrals over the true coordinates are done."""

    events: Literal["binned", "unbinned"] = Field(
        default="binned",
        description="Merge events that share a reconstructed cell, or take each at its own place.",
    )
    tolerance: PositiveNumber = Field(
        default=Default(1e-6),
        lt=0.1,
        description="Part of the response that the scan of an unbinned event may leave out.",
    )
    memory: Memory = Field(
        default=Default(1e9),
        ge=1e7,
        description="Room for the working arrays, the tables of densities not counted.",
    )


class NestedSampler(Section):
    """dynesty's static nested sampler."""

    kind: Literal["nested"] = Field(default="nested", description="Kind of sampler.")
    live_points: PositiveInt = Field(default=500, ge=10, description="Number of live points.")
    dlogz: PositiveNumber = Field(
        default=Default(0.05), description="Stop when the remaining log evidence falls below this."
    )
    bound: Literal["none", "single", "multi", "balls", "cubes"] = Field(
        default="single", description="How dynesty bounds the live points."
    )
    sample: Literal["auto", "unif", "rwalk", "slice", "rslice"] = Field(
        default="auto", description="How dynesty draws a new point."
    )
    seed: Seed | None = Field(
        default=None, description="Seed of the sampler; derived from the study's if absent."
    )
    batch_size: PositiveInt = Field(
        default=64,
        ge=2,
        description="Points that are drawn at once, by all ranks together; at least as many as"
        " there are ranks, far fewer than live points. Part of the random stream.",
    )
    runs: PositiveInt = Field(
        default=1,
        le=1000,
        description="Independent runs with seeds of their own, merged into one posterior.",
    )
    checkpoint_every: PositiveNumber = Field(
        default=Default(60.0), description="Seconds between checkpoints; the result is the same."
    )


class LaplaceSampler(Section):
    """Importance sampling from Laplace approximations at the nodes of the scanned parameters."""

    kind: Literal["laplace"] = Field(description="Kind of sampler.")
    draws: PositiveInt = Field(
        default=20_000, ge=2000, description="Number of draws from the approximation."
    )
    seed: Seed | None = Field(
        default=None, description="Seed of the sampler; derived from the study's if absent."
    )


class NutsSampler(Section):
    """The No-U-Turn sampler, through PyMC; it gives no evidence."""

    kind: Literal["nuts"] = Field(description="Kind of sampler.")
    chains: PositiveInt = Field(default=4, ge=2, description="Number of chains.")
    tune: PositiveInt = Field(default=1000, description="Steps of tuning, of each chain.")
    draws: PositiveInt = Field(default=1000, ge=100, description="Draws of each chain.")
    target_accept: PositiveNumber = Field(
        default=Default(0.9), lt=1.0, description="Mean acceptance that the step size is tuned to."
    )
    backend: Literal["pymc", "nutpie"] = Field(
        default="pymc", description="Package that runs the chains."
    )
    seed: Seed | None = Field(
        default=None, description="Seed of the sampler; derived from the study's if absent."
    )


def sampler_kind(value: Any) -> Any:
    """Kind of sampler that settings are of; nested if they do not say."""
    return value.get("kind", "nested") if isinstance(value, dict) else getattr(value, "kind", None)


Sampler = Annotated[
    Annotated[NestedSampler, Tag("nested")]
    | Annotated[LaplaceSampler, Tag("laplace")]
    | Annotated[NutsSampler, Tag("nuts")],
    Discriminator(sampler_kind),
]
