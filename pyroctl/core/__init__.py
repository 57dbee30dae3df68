"""Pure decisions: service specifications, the lifecycle table, start plans, differences."""
