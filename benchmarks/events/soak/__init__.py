"""Mixed load for hours: who behaves well has to get everything, and the service must not grow.

From the bottom: `tally` and `samples` (pure, but for /proc), `clients` (every way to publish and
to subscribe), `actors` (what runs in a process of its own), `company` (those processes), `lives`
(how they come, stall and die), `soak` (the run), `verdict` (the facts, and how they are told).
"""
