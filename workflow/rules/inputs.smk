# Inputs and settings of rules that depend on how the work is shared out.


def irf_of(wildcards):
    """Recorded response behind a response table; none for the parametric telescope."""
    return response_file(STUDY, USERS[wildcards.key][0]) or []


def response_table(wildcards):
    """Response of an observation."""
    return f"results/{wildcards.study}/response/{KEYS[wildcards.observation]}.h5"


def ready(observation):
    """Files that are there when the events and marginals of an observation are made."""
    root = f"results/{STUDY.name}"
    if observation in BUNDLE_OF:
        return [f"{root}/bundles/{BUNDLE_OF[observation]}.json"]
    leaves = [f"{root}/marginals/{observation}/{c}.h5" for c in STUDY.tree.leaves()]
    return [f"{root}/events/{observation}.h5", *leaves]


def ready_of(wildcards):
    """Files that are there when a fit's observations are marginalised; bundles once each."""
    found = (path for name in FITS[wildcards.fit] for path in ready(name))
    return list(dict.fromkeys(found))


def chunks_of(wildcards):
    """Marginals of all chunks of an observation, in their order."""
    folder = f"results/{wildcards.study}/marginals/{wildcards.observation}/{wildcards.component}"
    total = CHUNKS[wildcards.observation]
    return [f"{folder}/{k + 1}-of-{total}.h5" for k in range(total)]


def shared_responses(wildcards):
    """Responses that other jobs use, too; a bundle makes its own ones itself."""
    names = BUNDLES[wildcards.bundle]
    keys = {KEYS[name] for name in names}
    used = sorted(key for key in keys if not set(USERS[key]) <= set(names))
    return [f"results/{wildcards.study}/response/{key}.h5" for key in used]


def recorded_files(wildcards):
    """Event and response files that the observations of a bundle are recorded in."""
    names = BUNDLES[wildcards.bundle]
    events = [path for name in names for path in event_files(STUDY, name)]
    responses = [response_file(STUDY, name) for name in names]
    return sorted({path for path in [*events, *responses] if path})


def bundle_settings(wildcards):
    """Checksum of all settings that shape what a bundle makes."""
    names = BUNDLES[wildcards.bundle]
    leaves = STUDY.tree.leaves()
    parts = [
        settings("marginals", observation=n, component=c) for n in names for c in leaves
    ]
    parts += [settings("events", observation=name) + KEYS[name] for name in names]
    return hashlib.sha256("".join([*names, *parts]).encode()).hexdigest()


def limits_of_fits(wildcards):
    """Product of the limits of each fit."""
    if STUDY.limits is None:
        raise WorkflowError(
            "limits: are not set in this study; add a section 'limits' to it"
        )
    return expand("results/{study}/limits/{fit}.h5", study=STUDY.name, fit=FITS)


def limits_shown():
    """Limits on the page: those that are there, and all if they are made in the same run."""
    if STUDY.limits is None:
        return []
    asked = "limits" in workflow.dag_settings.targets
    return [p for p in limits_of_fits(None) if asked or Path(p).exists()]
