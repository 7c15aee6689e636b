# What a study of gamma rays consists of, and how its work is shared out.

PARTS = STUDY.calibration.jobs()
LIMITS = STUDY.limits.jobs() if STUDY.limits else {}
# A bundle is one job; every other observation has jobs of its own.
BUNDLE_OF = {name: bundle for bundle, names in BUNDLES.items() for name in names}
ALONE = [name for name in STUDY.observations if name not in BUNDLE_OF]
RECORDED = [name for name in ALONE if event_files(STUDY, name)]
SIMULATED = [name for name in ALONE if name not in RECORDED]
CHUNKS = {name: chunks(STUDY, name) for name in ALONE}
CHUNKED = [name for name in ALONE if CHUNKS[name] > 1]
KEYS = {name: response_key(STUDY, name) for name in STUDY.observations}
USERS = {}  # observations by the response table that they share
for name, key in KEYS.items():
    USERS.setdefault(key, []).append(name)


wildcard_constraints:
    observation=one_of(ALONE),
    bundle=one_of(BUNDLES),
    component=one_of(STUDY.components),
    key="[^/]+",
