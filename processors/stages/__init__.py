"""The stages that Crucible brings along; each is written like any user's stage."""
