"""``python -m crucible``: the command line."""

from crucible.cli.main import main

if __name__ == "__main__":
    main()
