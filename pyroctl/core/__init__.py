"""Pure decisions: service specifications, the life-cycle table, back-off, start plans, values."""
