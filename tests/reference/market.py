"""Sections 2 to 4 and 6 of docs/SCORING.md: weights of reports, pairs, flow and credibility, what a rating weighs."""

from evidence import COUNTERSIGNED, RECEIPT, UNILATERAL
from tables import FLOW, ONE, Q32, Q48, decay, div, lg, lg1p, q16, q32


class Pair:
    """What one agent says of another in one role, section 3; the later sections add to it, under the names of the text."""

    def __init__(self, rater, subject, role):
        self.rater, self.subject, self.role = rater, subject, role
        self.reports = []
        self.D = ONE
        self.reverse = None  # the reverse rating pair, of a buyer's pair
        self.links = 0  # wash links, section 9.4
        self.ex = None


class Market:
    """All that the sections work on. rating: the rating pairs; about, by: those of one subject, of one rater."""

    def __init__(self, policy, as_of, reports, agents):
        self.policy, self.scoring, self.as_of = policy, policy["scoring"], as_of
        self.reports, self.agents = reports, agents
        self.seeds = sorted(set(policy["seeds"]))  # also those that nobody has mentioned: they hold their share
        if not set(self.seeds) & set(agents):
            raise ValueError("policy.no_seeds")
        weights(self)
        pairs_and_roles(self)
        self.edges = edges(self)


# --- Section 2: weight of a report


def weights(market):
    """Standing weight s and fresh weight w (Q32), value A (thousandths) and badness b (Q16) of each report."""
    scoring = market.scoring
    level_milli = {RECEIPT: scoring["receipt_weight_milli"], UNILATERAL: scoring["unilateral_weight_milli"]}
    unit = scoring["value_unit_nano"]
    unilateral = {}
    for report in market.reports:
        factor = level_milli.get(report.level, 1000)
        factor *= scoring["cancelled_weight_milli"] if report.status == "cancelled" else 1000
        negative = report.quality < scoring["negative_below_bp"]
        half_life = scoring["half_life_negative_s" if negative else "half_life_s"]
        report.s = Q32 * factor // 10**6
        report.w = decay(market.as_of - report.closed_at, half_life) * factor // 10**6
        doublings = lg(unit + report.amount) - lg(unit)
        report.value = scoring["value_base_milli"] + (scoring["value_slope_milli"] * doublings >> 16)
        report.value = min(report.value, scoring["value_cap_milli"])
        report.b = (10000 - report.quality) * ONE // 10000
        report.undelivered = report.status in ("failed", "disputed")
        if report.level == UNILATERAL:
            report.value = scoring["value_base_milli"]
            unilateral.setdefault((report.reporter, report.subject, report.role), []).append(report)
    cap = q32(scoring["unilateral_cap_milli"], 1000)
    for reports in unilateral.values():
        s_sum, w_sum = sum(r.s for r in reports), sum(r.w for r in reports)
        for report in reports:
            if s_sum > cap:
                report.s = report.s * cap // s_sum
            if w_sum > cap:
                report.w = report.w * cap // w_sum


# --- Section 3: pairs and roles


def pairs_and_roles(market):
    """All pairs with their sums, and which of them are rating pairs and concentrated."""
    scoring, pairs = market.scoring, {}
    for report in market.reports:
        key = (report.reporter, report.subject, report.role)
        pair = pairs.setdefault(key, Pair(*key))
        pair.reports.append(report)
        report.pair = pair
    for pair in pairs.values():
        pair.S = sum(r.s for r in pair.reports)
        pair.P = sum(r.w for r in pair.reports)
        pair.PA = sum(r.w * r.value for r in pair.reports)
        pair.B = div(sum(r.w * r.value * r.b for r in pair.reports), pair.PA)
        pair.g = min(lg1p(pair.P), q16(scoring["pair_cap_milli"], 1000))
    market.pairs = {key: pairs[key] for key in sorted(pairs)}
    market.rating = [pair for pair in market.pairs.values() if pair.role == "buyer" and pair.PA > 0]
    market.about, market.by = {}, {}
    for pair in market.rating:
        market.about.setdefault(pair.subject, []).append(pair)
        market.by.setdefault(pair.rater, []).append(pair)
    rating = {(pair.rater, pair.subject): pair for pair in market.rating}
    for rater_pairs in market.by.values():
        n = sum(pair.S for pair in rater_pairs)
        for pair in rater_pairs:
            pair.reverse = rating.get((pair.subject, pair.rater))
            pair.conc = div(pair.S * ONE, n)
            large_share = pair.conc > q16(scoring["concentrated_share_bp"], 10000)
            enough = n >= q32(scoring["concentrated_mass_milli"], 1000)
            pair.concentrated = large_share and enough or pair.S >= q32(scoring["bulk_mass_milli"], 1000)


# --- Section 4: flow and credibility


def edges(market):
    """Edges as (source, target, capacity, pair whose D they carry or None for ONE)."""
    scoring, found = market.scoring, []
    cap, floor = q16(scoring["flow_edge_cap_milli"], 1000), q16(scoring["flow_quality_floor_bp"], 10000)
    seller_bp = scoring["flow_seller_bp"]

    def size(mass):
        return min(lg1p(mass), cap)

    for pair in market.pairs.values():
        bad = div(sum(r.s * r.value * r.b for r in pair.reports), sum(r.s * r.value for r in pair.reports))
        capacity = size(pair.S) * max(0, ONE - bad - floor) // (ONE - floor)
        if pair.role == "buyer":
            found.append((pair.rater, pair.subject, capacity, pair))
            vouched = sum(r.s for r in pair.reports if r.level >= COUNTERSIGNED and r.matching is None)
            found.append((pair.subject, pair.rater, size(vouched) * seller_bp // 10000, pair))
        else:
            bought = market.pairs.get((pair.subject, pair.rater, "buyer"))
            found.append((pair.rater, pair.subject, capacity * seller_bp // 10000, bought))
    return found


def flow(market):
    """Flow of every agent, 2^-48 of all flow; adds up to 2^48."""
    returned = market.scoring["flow_return_bp"]
    capacities, shares = {}, []
    for source, _, capacity, _ in market.edges:
        capacities[source] = capacities.get(source, 0) + capacity
    for source, target, capacity, pair in market.edges:
        carries = capacity * pair.D >> 16 if pair else capacity
        share = div(Q48 * carries, capacities[source])
        if share:
            shares.append((source, target, share))
    x = dict.fromkeys([*market.agents, *market.seeds], 0)
    to_seeds(market, x)
    for _ in range(market.scoring["flow_iterations"]):
        passed = {agent: amount * (10000 - returned) // 10000 for agent, amount in x.items()}
        x = dict.fromkeys([*market.agents, *market.seeds], 0)
        for source, target, share in shares:
            x[target] += passed[source] * share >> 48
        to_seeds(market, x)
    return x


def to_seeds(market, x):
    """Gives the seeds what is missing from 2^48, evenly, the remainder one unit each in ascending order."""
    each, rest = divmod(FLOW - sum(x.values()), len(market.seeds))
    for place, seed in enumerate(market.seeds):
        x[seed] += each + (1 if place < rest else 0)


def credibility(market):
    """c of every agent, Q32, from its flow."""
    half = max(1, market.scoring["credibility_half_ppm"] * FLOW // (10**6 * len(market.seeds)))
    held = flow(market)
    market.flow = {agent: held[agent] for agent in market.agents}
    market.c = {agent: Q32 * x // (x + half) for agent, x in market.flow.items()}
    for pair in market.rating:
        pair.heard = market.c[pair.rater] > 0


# --- Section 6: what a rating weighs


def reference(market, pair, x):
    """ref(x), step 3: the weight of a view that is held against others."""
    c = market.c[pair.rater]
    x = (x * c >> 32) * c >> 32
    if pair.reverse and pair.S >= 2 * Q32 and pair.reverse.S >= 2 * Q32:
        x //= 10
    if pair.links >= 3:
        x //= 20
    if pair.concentrated:
        x //= 20
    return x


def voice(market, pair):
    """e0 of any pair, step 1 (Q32)."""
    return div((pair.g * market.c[pair.rater] >> 16) * pair.PA, 1000 * pair.P)


def voices(market, dampened=True):
    """e2 of every rating pair, steps 1 and 2 (Q32); not dampened: with D = ONE."""
    outside, e2 = q32(market.scoring["outside_weight_milli"], 1000), {}
    for about in market.about.values():
        e1 = {pair: voice(market, pair) * (pair.D if dampened else ONE) >> 16 for pair in about}
        o = sum(e1[pair] for pair in about if not pair.concentrated)
        k = max(1, sum(1 for pair in about if pair.concentrated and pair.heard))
        h = div(o * ONE, o + outside)
        for pair in about:
            e2[pair] = e1[pair] * (h + (ONE - h) // k**2) >> 16 if pair.concentrated else e1[pair]
    return e2


def what_others_say(market):
    """loo of every rating pair (Q16), step 4: its subject's badness y by all other raters, from r and β as they are."""
    for about in market.about.values():
        for pair in about:
            pair.y = min(ONE, pair.B * ONE // pair.beta)
        all_y, all_r = sum(p.r * p.y for p in about), sum(p.r for p in about)
        for pair in about:
            pair.loo = (all_y - pair.r * pair.y + q32(3, 10) * q16(4, 10)) // (all_r - pair.r + q32(3, 10))


def leniency(market):
    """β of every rating pair (Q16), step 4."""
    floor = q16(market.scoring["leniency_floor_bp"], 10000)
    for pair in market.rating:
        pair.beta = ONE
    for _ in range(2):
        what_others_say(market)
        for by in market.by.values():
            sizes = [pair.g * pair.D >> 16 for pair in by]
            num = sum(g * pair.B for g, pair in zip(sizes, by))
            den = sum(g * pair.loo for g, pair in zip(sizes, by))
            for g, pair in zip(sizes, by):
                beta = (num - g * pair.B + q32(3, 2)) * ONE // (den - g * pair.loo + q32(3, 2))
                pair.beta = max(floor, min(ONE, beta))


def noise(market):
    """var of every rating pair (Q32), step 6: how far the rater's other ratings lie from what others say."""
    what_others_say(market)
    for by in market.by.values():
        for pair in by:
            dev = div(sum(r.w * (r.y - pair.loo) ** 2 for r in pair.reports), pair.P)
            pair.rs = pair.g * dev >> 16
        all_rs, all_g = sum(pair.rs for pair in by), sum(pair.g for pair in by)
        for pair in by:
            pair.var = ((all_rs - pair.rs + q32(4, 100)) << 16) // (all_g - pair.g + q16(2))


def without_noise(market, pair, e2):
    """e from e2, step 6 (Q32)."""
    ppm = market.scoring["noise_scale_ppm"]
    if ppm == 0:
        return e2
    scale = ppm * Q32 // 10**6
    return e2 * (scale + q32(2, 100)) // (scale + pair.var)


def weight(market, report, e):
    """v of a report of a rating pair of weight e, step 7 (Q32)."""
    v = e * report.w * report.value // report.pair.PA
    return v * market.scoring["undelivered_weight_milli"] // 1000 if report.undelivered else v


def rating_weights(market):
    """Section 6: c, then y and v of every report of a rating pair."""
    e2 = voices(market)
    for pair in market.rating:
        pair.r = reference(market, pair, e2[pair])
    leniency(market)
    for pair in market.rating:
        for report in pair.reports:
            report.y = min(ONE, report.b * ONE // pair.beta)
    if market.scoring["noise_scale_ppm"]:
        noise(market)
    for pair in market.rating:
        e = without_noise(market, pair, e2[pair])
        for report in pair.reports:
            report.v = weight(market, report, e)
