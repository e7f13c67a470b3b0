"""The local adapter passes the suite that ships, with and without dropout and weight decay."""

from typing import ClassVar

from crucible.adapters.local import LocalAdapter
from crucible.testing.adapter_conformance import AdapterConformance

SMALL = {"hidden": [24, 16], "epochs": 3}


class TestLocalAdapter(AdapterConformance):
    options: ClassVar = {"base": SMALL}

    def make_adapter(self):
        return LocalAdapter()


class TestLocalAdapterWithDropoutAndDecay(AdapterConformance):
    options: ClassVar = {"dropout": 0.2, "weight_decay": 0.05, "base": SMALL}
    bad_options: ClassVar = {"rank": 0, "alpha": -1.0, "dropout": 1.0, "weight_decay": "much", "rnak": 3}
    learning_steps: ClassVar = 120

    def make_adapter(self):
        return LocalAdapter()
