"""The cost model: from a case to latency, energy, money and carbon, each as terms by resource.

The story in order: what a batch and a prompt ask of the devices (`infercost.passes.forward`), how
long a replica is busy per output token, what that time and energy cost.
"""

from __future__ import annotations

from functools import cached_property, reduce

import numpy as np

from infercost.arrays import Array, Bytes, Count, Ratio, Seconds, Usd, UsdPerSecond, as_array
from infercost.bill import priced
from infercost.directions import directed
from infercost.equations import availability, carbon, energy, money, serving
from infercost.mitigations.apply import mitigated
from infercost.operators.base import Block, Layout, Pass
from infercost.operators.stack import blocks
from infercost.passes import drafting as drafts
from infercost.passes import first_token
from infercost.passes.forward import PassCost, pass_cost
from infercost.passes.patching import LocalLayers, local_layers
from infercost.passes.phases import encoder_passes, paced_lengths, prefill_pass, step_pass
from infercost.passes.reuse import load_time, pool_rate
from infercost.passes.shares import PerToken, mixed, summed
from infercost.placement import (
    LIMITS,
    Footprint,
    broken_limit,
    footprint,
    kv_bytes_per_sequence,
    shares_context,
)
from infercost.specs.case import Case
from infercost.specs.economics import Ownership
from infercost.specs.mechanisms import Beside, Drafting
from infercost.terms import Terms
from infercost.tiers.placed import Placed
from infercost.tiers.routes import Routes
from infercost.tiers.tier_map import place
from infercost.tiers.trials import judge_of
from infercost.tiers.wear import lives_of_tiers, paced, paced_prefill, worn_out
from infercost.workloads.lengths import Lengths
from infercost.workloads.searches import Search, search_of


class Evaluation:
    """One bound case, evaluated. Arrays broadcast over the grid; the last dimension is requests."""

    def __init__(self, case: Case, capacity_share: Array = 0.0) -> None:
        """`capacity_share` is the part of the cost that a search found unlimited memory to save."""
        self.capacity_share = capacity_share
        self.layout = Layout(mitigated(directed(priced(case))))
        self.case = self.layout.case
        self.lengths: Lengths = paced_lengths(self.layout)

    @cached_property
    def devices(self) -> Count:
        """Devices of one replica: tp · pp · dp."""
        plan = self.case.plan
        return plan.tp * plan.pp * plan.dp

    @cached_property
    def availability(self) -> Ratio:
        """Share of time that a replica serves: devices fail, spares step in. 1 without failures."""
        reliability = self.case.hardware.reliability
        if reliability is None:
            return 1.0
        mtbf, n = reliability.mtbf, self.devices
        down = availability.downtime_share(mtbf, reliability.repair)
        at_work = availability.standby_availability(n, self.case.plan.spares, down)
        return at_work * availability.failover_availability(n, mtbf, reliability.failover)

    @cached_property
    def provision(self) -> Ratio:
        """Device time paid, spares and failures included, over device time at work."""
        return availability.provision_factor(self.devices, self.case.plan.spares, self.availability)

    @cached_property
    def memory(self) -> Footprint:
        """Bytes that must fit on the busiest device."""
        own = self.local.memory(footprint(self.layout, self.lengths))
        drafting = self.case.mechanisms.drafting
        if self.drafter is None or (drafting is not None and drafting.within):
            return own
        return own.beside(footprint(self.drafter, self.lengths))

    @cached_property
    def broken(self) -> Count:
        """Code of the limit that makes a point infeasible (see `placement.LIMITS`)."""
        code = broken_limit(self.layout, self.lengths, self.memory, self.placed)
        for other in (self.light, self.pool):
            if other is not None:
                code = np.where(as_array(code) == 0, other.broken, code)
        if (worn := worn_out(self)) is None:
            return code
        return np.where((as_array(code) == 0) & worn, float(LIMITS.index("endurance")), code)

    @cached_property
    def maps(self) -> tuple[Placed, Placed] | None:
        """What lies where in decode and in prefill; none on a device with one plain memory."""
        return place(self.layout, self.memory, self.decode_pass, judge_of(self))

    @property
    def placed(self) -> Placed | None:
        """Which memory tier holds what in decode."""
        return None if self.maps is None else self.maps[0]

    @property
    def routes(self) -> Routes | None:
        """Shares of decode's traffic per tier, where there are tiers."""
        return None if self.placed is None else self.placed.routes

    @property
    def prefill_routes(self) -> Routes | None:
        """Shares of prefill's traffic per tier, where there are tiers."""
        return None if self.maps is None else self.maps[1].routes

    @cached_property
    def lives(self) -> tuple[Seconds, ...]:
        """Life of each memory tier."""
        return lives_of_tiers(self)

    @cached_property
    def memory_life(self) -> Seconds:
        """Life of the memory tier that wears out first."""
        return reduce(np.minimum, self.lives)

    @cached_property
    def sequences(self) -> Count:
        """Sequences in one decode pass of one data-parallel group."""
        plan = self.case.plan
        return serving.sequences_per_pass(self.case.batch, plan.dp, plan.pp)

    @cached_property
    def decode_pass(self) -> Pass:
        """A decode or denoising pass of the busiest data-parallel group."""
        step = step_pass(self.layout, self.lengths, self.sequences)
        drafting = self.case.mechanisms.drafting
        return step if drafting is None else drafts.verification(step, self.lengths, drafting)

    @cached_property
    def decode_blocks(self) -> tuple[Block, ...]:
        """Operators and messages of a decode pass."""
        return blocks(self.layout, self.decode_pass)

    @cached_property
    def drafter(self) -> Layout | None:
        """The model that drafts tokens; none where none does."""
        return drafts.draft_layout(self.layout)

    @cached_property
    def local(self) -> LocalLayers:
        """The light layers of a model of bytes, which add to its own; none of one of tokens."""
        return local_layers(self.layout, self.lengths)

    @cached_property
    def prefilled(self) -> Count:
        """Tokens of a prompt that have to be computed, by prompt stratum: one at least."""
        prompt = self.lengths.prompt
        if self.lengths.reuses:
            return np.maximum(prompt - self.lengths.cached_prompt, 1.0)
        if not shares_context(self.layout):
            return prompt
        return np.maximum(prompt - self.case.plan.placement.shared_context, 1.0)

    @cached_property
    def decode(self) -> PassCost:
        """Cost of one decode pass, which gives every sequence in it its tokens of a step."""
        return paced(self, self.decode_at_full_rate)

    @cached_property
    def decode_at_full_rate(self) -> PassCost:
        """The same, were there no memory whose cells it must spare."""
        own = pass_cost(self.layout, self.decode_pass, self.routes, self.decode_blocks)
        step = self.local.step(own, self.sequences, self.routes)
        mechanisms = self.case.mechanisms
        if np.any(as_array(mechanisms.fused) > 0):
            share = mechanisms.fused * self._chunks_per_step
            step = drafts.riding(self.layout, step, share, self.decode_blocks)
        if (drafting := mechanisms.drafting) is not None:
            step = drafts.with_drafts(step, self._draft(drafting), drafting, self.sequences)
        return step

    def _draft(self, drafting: Drafting) -> PassCost | None:
        """One pass of the drafter over all sequences of a step."""
        if self.drafter is None:
            return None
        step = step_pass(self.drafter, self.lengths, self.sequences)
        return pass_cost(self.drafter, drafts.draft_pass(step, drafting), self.routes)

    @property
    def _chunks_per_step(self) -> Ratio:
        """Chunks of prefill due in one decode step of a group: at most one rides along."""
        plan = self.case.plan
        due = self.case.batch * self.lengths.prefills_per_step / (plan.dp * plan.pp)
        chunks = self.lengths.mean(self.prompt_chunks * np.ones_like(self.lengths.weight))
        return np.minimum(due * chunks / plan.prefill_batch, 1.0)

    @cached_property
    def prompt_passes(self) -> Count:
        """Passes that the prefill of one batch of prompts takes, by prompt stratum."""
        return self.prompt_chunks if self.lengths.cached else 0.0

    @cached_property
    def prompt_chunks(self) -> Count:
        """Passes that its prompts would take where they are cached, by prompt stratum."""
        plan = self.case.plan
        return serving.chunk_passes(plan.prefill_batch * self.prefilled, plan.prefill_chunk)

    @cached_property
    def prefill_pass(self) -> Pass:
        """One of the passes of a prefill, by prompt stratum."""
        return prefill_pass(self.layout, self.lengths, self.prefilled, self.prompt_chunks)

    @cached_property
    def prefill_blocks(self) -> tuple[Block, ...]:
        """Operators and messages of a pass of a prefill."""
        return blocks(self.layout, self.prefill_pass)

    @cached_property
    def prefill(self) -> PassCost:
        """Cost of one pass of a prefill, by prompt stratum."""
        return paced_prefill(self, self.prefill_at_full_rate)

    @cached_property
    def prefill_at_full_rate(self) -> PassCost:
        """The same, were there no memory whose cells it must spare."""
        routes, stack = self.prefill_routes, self.prefill_blocks
        own = pass_cost(self.layout, self.prefill_pass, routes, stack)
        own = self.local.prefill(own, self.prefilled, self.prompt_chunks, routes)
        drafting = self.case.mechanisms.drafting
        if self.drafter is None or drafting is None or not drafting.reads_prompts:
            return own
        step = prefill_pass(self.drafter, self.lengths, self.prefilled, self.prompt_chunks)
        return drafts.together(own, pass_cost(self.drafter, step, self.prefill_routes), 1.0)

    @cached_property
    def step_time(self) -> Seconds:
        """Time in which every sequence in flight gets one token, were there no prefill."""
        return self.decode.time.total

    @cached_property
    def encoders(self) -> tuple[PassCost, ...]:
        """Cost of the encoders' passes in front of one prefill; none for text."""
        return tuple(
            pass_cost(self.layout, step, self.prefill_routes)
            for step in encoder_passes(self.layout)
        )

    @cached_property
    def encoder_time(self) -> Seconds:
        """Time that images and sound of a prefill's requests spend in encoders."""
        return sum((cost.time.total for cost in self.encoders), start=0.0)

    @cached_property
    def local_prefill_time(self) -> Seconds:
        """Time of one prefill on these devices, by prompt stratum: of a prompt alone."""
        return first_token.local_prefill_time(self)

    @cached_property
    def prefill_time(self) -> Seconds:
        """Time of one prefill, by prompt stratum: of a prompt alone, wherever it runs."""
        return first_token.prefill_time(self)

    @cached_property
    def prefix_load_time(self) -> Seconds:
        """Time that a prefill waits for found prefixes from elsewhere, by prompt stratum."""
        return load_time(self.layout, self.lengths, self.prefill.time.total * self.prompt_passes)

    @cached_property
    def prefill_terms(self) -> Terms:
        """Mean time that one prefill takes of devices, by resource: turns of all stages added up,
        encoders and loaded prefixes included. A prompt waits for less (`ttft_terms`)."""
        return self.prefill.time.each(self._mean_over_prompts).plus(self.waits)

    @cached_property
    def waits(self) -> Terms:
        """Mean time of one prefill in encoders, and until prefixes are loaded."""
        waits = Terms()
        if self.lengths.reuses:
            load = self.lengths.mean(self.prefix_load_time * np.ones_like(self.lengths.weight))
            waits = Terms(kv=load)
        return reduce(Terms.plus, (cost.time for cost in self.encoders), waits)

    @cached_property
    def search(self) -> Search | None:
        """Retrieval in front of each prompt; none where the trend has none."""
        return search_of(self.case.trend)

    @cached_property
    def first_output_time(self) -> Seconds:
        """Time from the end of prefill to the first readable output: steps of its block, or all."""
        # Where the prefill gives the first token, its time keeps its own small shape.
        return self.lengths.first_steps * self.step_time if self.waits_for_steps else 0.0

    @property
    def waits_for_steps(self) -> bool:
        """Whether the first readable output comes after steps, and not with the prefill."""
        return not np.all(as_array(self.lengths.first_steps) == 0)

    @cached_property
    def ttft_terms(self) -> Terms:
        """Mean time to the first readable output by resource, retrieval apart."""
        return first_token.terms_by_resource(self)

    def _mean_over_prompts(self, per_pass: Array) -> Array:
        """Mean over requests of what all passes of a prefill take together."""
        return self.lengths.mean(per_pass * self.prompt_passes)

    def occupancy(self, time: Seconds) -> Seconds:
        """Time of a replica that one prompt takes of such a prefill."""
        plan = self.case.plan
        return serving.prefill_occupancy(time, plan.prefill_batch, plan.dp, plan.pp)

    @cached_property
    def paced_step(self) -> Seconds:
        """Time of a decode step and of the prefills of others that interrupt it."""
        return serving.interrupted_tpot(
            self.step_time,
            self.occupancy(self.prefill_terms.total),
            self.lengths.mean(self.local_prefill_time),
            self.case.batch,
            self.lengths.prefills_per_step,
            self.lengths.branches,
            first_token.interrupts(self.case),
        )

    @cached_property
    def tpot(self) -> Seconds:
        """Mean time per output token that a user sees."""
        light = self.case.mechanisms.light
        own = self.paced_step / self.lengths.pace
        if light is None or self.light is None:
            return own
        return own + light.share * (self.light.tpot - own)

    @cached_property
    def light(self) -> Evaluation | None:
        """The lighter model that answers a share of the requests; none where none does."""
        return evaluation_of(self.case.mechanisms.light)

    @cached_property
    def pool(self) -> Evaluation | None:
        """The pool that takes a share of the prefills; none where decode's devices take all."""
        return evaluation_of(self.case.mechanisms.pool)

    @cached_property
    def decode_device_time(self) -> Terms:
        """Device time of decode per output token, on these devices."""
        tokens = self.case.batch * self.lengths.tokens_per_step
        return self.decode.time.times(self.devices / tokens * self.provision)

    @cached_property
    def prefill_device_time(self) -> Terms:
        """Device time of prefill per output token, were all of it on these devices."""
        share = self.lengths.prefills_per_step / self.lengths.tokens_per_step
        paid = self.devices * share * self.provision
        return self.prefill_terms.times(self.occupancy(1.0) * paid)

    @cached_property
    def decode_per_token(self) -> PerToken:
        """Decode's part of one output token."""
        share, time = 1.0 / self.lengths.tokens_per_step, self.decode_device_time
        plan, batch = self.case.plan, self.case.batch
        passes = serving.passes_in_flight(batch, plan.dp, plan.pp) / batch
        dynamic = self.decode.energy.times(plan.tp * passes * share)
        return self._with_light(self._per_token(time, dynamic), "decode_per_token")

    @cached_property
    def prefill_per_token(self) -> PerToken:
        """Prefill's part of one output token: a request's prefill over its output tokens."""
        plan = self.case.plan
        share = self.lengths.prefills_per_step / self.lengths.tokens_per_step
        time = self.prefill_device_time
        dynamic = self.prefill.energy.each(self._mean_over_prompts)
        dynamic = reduce(Terms.plus, (cost.energy for cost in self.encoders), dynamic)
        own = self._per_token(time, dynamic.times(plan.tp / plan.prefill_batch * share))
        pool = self.case.mechanisms.pool
        if pool is not None and self.pool is not None:
            moved = pool.share
            others = (moved, self.pool, self.pool.prefill_per_token)
            own = mixed((1.0 - moved, self, own), others)
        return self._with_light(own, "prefill_per_token")

    def _with_light(self, own: PerToken, phase: str) -> PerToken:
        """A phase, of which a lighter model takes its share of the requests."""
        how = self.case.mechanisms.light
        if how is None or self.light is None:
            return own
        theirs = (how.share + how.tried, self.light, getattr(self.light, phase))
        return mixed((1.0 - how.share, self, own), theirs)

    def _per_token(self, time: Terms, dynamic: Terms) -> PerToken:
        """Add static energy, which is spent over time and so bound by what binds the time."""
        hardware, economics = self.case.hardware, self.case.economics
        static = hardware.idle_power + hardware.host_power
        paid = static * (1.0 + energy.idle_share(economics.utilisation))
        at_rest = time.each(lambda term: energy.static_energy(paid, term))
        return PerToken(time, dynamic.plus(at_rest).times(economics.pue))

    @cached_property
    def per_token(self) -> PerToken:
        """Both phases of one output token."""
        decode, prefill = self.decode_per_token, self.prefill_per_token
        if decode.parts or prefill.parts:
            return mixed((1.0, self, decode), (1.0, self, prefill))
        return PerToken(
            decode.device_time.plus(prefill.device_time), decode.energy.plus(prefill.energy)
        )

    @cached_property
    def device_rate(self) -> UsdPerSecond:
        """Money per busy device-second, energy apart."""
        hardware, economics = self.case.hardware, self.case.economics
        if not isinstance(economics, Ownership):
            rent = hardware.rental_price + pool_rate(self.case)
            return money.busy_rate(rent, economics.utilisation)
        capital = money.annuity_rate(
            hardware.price,
            economics.discount_rate,
            economics.life,
            economics.life / money.SECONDS_PER_YEAR,
        )
        hosting = money.hosting_rate(hardware.tdp + hardware.host_power, economics.hosting_price)
        return money.busy_rate(capital + hosting + pool_rate(self.case), economics.utilisation)

    def cost_terms(self, phase: PerToken) -> Terms:
        """USD per output token by resource: device time at its rate, and energy at the meter."""
        if phase.parts:
            return summed((share, one.cost_terms(part)) for share, one, part in phase.parts)
        economics = self.case.economics
        price = economics.electricity_price if isinstance(economics, Ownership) else 0.0
        electricity = phase.energy.each(lambda used: money.energy_cost(used, price))
        return phase.device_time.times(self.device_rate).plus(electricity)

    @cached_property
    def per_token_price(self) -> Usd:
        """USD per output, both phases."""
        return self._per_token_cost_terms.total

    @cached_property
    def _per_token_cost_terms(self) -> Terms:
        return self.cost_terms(self.per_token)

    def embodied_terms(self, phase: PerToken) -> Terms:
        """Embodied kgCO2e per output token by resource."""
        if phase.parts:
            return summed((share, one.embodied_terms(part)) for share, one, part in phase.parts)
        hardware, economics = self.case.hardware, self.case.economics
        made: Array = hardware.embodied_carbon
        for memory in hardware.memory.values():
            made = made + carbon.memory_carbon(memory.total_capacity, memory.embodied_carbon)
        rate = carbon.embodied_rate(made, economics.life, economics.utilisation)
        return phase.device_time.times(rate)

    def operational_terms(self, phase: PerToken) -> Terms:
        """Operational kgCO2e per output token by resource."""
        grid = self.case.economics.grid_carbon * self.case.economics.hour_factor
        return phase.energy.each(lambda used: carbon.operational_carbon(used, grid))

    @cached_property
    def per_token_cost(self) -> Terms:
        """USD per output token by resource, both phases, memory capacity included."""
        terms, share = self._per_token_cost_terms, self.capacity_share
        if not np.any(share):
            return terms.plus(Terms(capacity=0.0))
        return terms.times(1.0 - share).plus(Terms(capacity=terms.total * share))

    def of_tokens(self, per_output: Array) -> Array:
        """A quantity per output token; not a number where the output is a picture."""
        return per_output if self.lengths.makes_tokens else per_output * np.nan

    @cached_property
    def device_seconds(self) -> Seconds:
        """Device-seconds per output token, both phases."""
        return self.per_token.device_time.total

    @cached_property
    def inputs_per_output(self) -> Array:
        """Prompt tokens per output token of the workload; 0 where nothing is prefilled."""
        lengths = self.lengths
        return lengths.prompt_mean * lengths.prefills_per_step / lengths.tokens_per_step

    @cached_property
    def kv_bytes_per_sequence(self) -> Bytes:
        """Cache of one sequence at its mean context on one device, all stages together."""
        return kv_bytes_per_sequence(self.layout, self.lengths)

    @cached_property
    def dynamic_power(self) -> Array:
        """Mean dynamic power of one device in a decode pass."""
        return self.decode.energy.total / self.step_time


def evaluation_of(beside: Beside | None) -> Evaluation | None:
    """The evaluation of a case that works beside another; none where there is none."""
    return None if beside is None else Evaluation(beside.case)
