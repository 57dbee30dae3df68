"""How subscriptions survive a handover, a planned restart and a crash."""
