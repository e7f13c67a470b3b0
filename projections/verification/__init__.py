"""``crucible verify``: whether log, blobs, read model, folders and snapshots say the same."""
