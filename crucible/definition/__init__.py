"""What a user wants: experiments, written in Python or YAML, checked, and turned into runs."""
