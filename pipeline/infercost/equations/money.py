"""Money per device and time."""

from __future__ import annotations

import numpy as np

from infercost.arrays import (
    Count,
    Joules,
    Ratio,
    Seconds,
    Usd,
    UsdPerJoule,
    UsdPerSecond,
    UsdPerWattSecond,
    Watts,
)

SECONDS_PER_YEAR = 365.25 * 86400.0


def annuity_rate(price: Usd, discount_rate: Ratio, life: Seconds, years: Count) -> UsdPerSecond:
    """Constant payment per time that repays `price` with interest over its life of `years`.

        price / life · y r / (1 - (1 + r)^-y),   price / life at r = 0

    `life` is the same time in seconds.
    """
    interest = np.maximum(discount_rate, 1e-12)
    factor = years * interest / -np.expm1(-years * np.log1p(interest))
    return price / life * factor


def hosting_rate(power: Watts, hosting_price: UsdPerWattSecond) -> UsdPerSecond:
    """Rent of space, cooling and staff for a power capacity."""
    return power * hosting_price


def energy_cost(energy: Joules, price: UsdPerJoule) -> Usd:
    """Price of energy at the meter."""
    return energy * price


def busy_rate(rate: UsdPerSecond, utilisation: Ratio) -> UsdPerSecond:
    """Rate per busy second of a device that is paid for at all times: rate / u."""
    return rate / utilisation
