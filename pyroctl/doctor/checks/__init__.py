"""The checks: functions of the facts, by topic. `all` is the list of them."""
