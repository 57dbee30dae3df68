"""Nothing outlives the manager: the cleanup process, the reaper, the scan for orphans."""
