"""From a TOML file to the values of `pyroctl.core.spec`, or to all that is wrong with it.

`source` finds and reads the files (TOML, includes, drop-ins, `${VAR}`, the environment); `check`
checks the result against the declared keys and turns it into core values; `load` does both;
`edit` reads and changes single settings. Only `source.discovery` is light enough for every command.
"""
