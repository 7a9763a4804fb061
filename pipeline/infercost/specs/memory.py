"""One memory tier of a device."""

from __future__ import annotations

from infercost.specs.fields import (
    BytesField,
    BytesPerSecondField,
    JoulesPerByteField,
    KgCO2ePerByteField,
    SourcedSpec,
)


class Memory(SourcedSpec):
    """A memory tier: what the technology gives (conf/memory) and what the device mounts of it."""

    technology: str
    capacity: BytesField
    """Usable bytes per device."""
    bandwidth: BytesPerSecondField
    """Peak read rate per device. What kernels reach of it is the calibration's affair."""
    access_energy: JoulesPerByteField
    """Energy to move data between the cells and the compute die."""
    embodied_carbon: KgCO2ePerByteField
    """Manufacturing carbon per byte of capacity, stacking included."""
