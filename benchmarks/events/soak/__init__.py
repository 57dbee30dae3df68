"""Mixed load for hours: healthy subscribers must get everything, and the service must not grow.

From the bottom: `tally` and `samples` (pure, but for /proc), `clients` (every way to publish and
to subscribe), `actors` (what runs in a process of its own), `company` (those processes), `lives`
(how they come, stall and die), `soak` (the run), `verdict` (the facts, and how to report them),
`chart` (the picture).
"""
