"""What a device draws at work beyond the floor of its arithmetic and traffic."""

from __future__ import annotations

from infercost.specs.fields import (
    CountField,
    EfficiencyField,
    FractionField,
    RatioField,
    SourcedSpec,
    WattsField,
)


class LoadPower(SourcedSpec):
    """Draw at load, fitted to power that was measured while serving: two numbers per family."""

    rated: WattsField
    """Limit of power that the calibrations' measurements ran under: their rates contain what it
    slows. A lower `tdp` slows the clock further; a higher one does not speed it up."""
    active_share: FractionField
    """Draw that does not depend on activity while operators run, over rated power."""
    arithmetic_ratio: RatioField
    """Energy per FLOP over compute_power / peak: operands move, units are part full."""
    voltage_floor: EfficiencyField
    """Lowest core voltage over nominal: power falls with the cube of the clock above it."""
    clock_floor: EfficiencyField
    """Lowest clock over nominal; below it a capped device pauses."""
    node: CountField
    """Devices in one server."""
    rack: CountField
    """Devices in one rack."""
