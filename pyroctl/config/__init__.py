"""From a TOML file to the values of `pyroctl.core.spec`, or to all that is wrong with it.

A file passes through `locate` (where is it), `read` (TOML), `expand` (`${VAR}`), `models` and
`validate` (what a value may be), `check` (what must hold between services) and `convert` (core
values); `load` strings them together. Only `locate` is light: nothing here imports the others
for it.
"""
