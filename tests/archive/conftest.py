from tests.projections.conftest import project

__all__ = ["project"]
