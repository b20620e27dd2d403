"""Sections 7 to 10 of docs/SCORING.md: change points, the outside view, dampening of pairs, the side of high values."""

from math import isqrt

from evidence import UNILATERAL
from market import reference
from tables import ONE, Q32, clip, div, lg, lg1p, q16, q32, q48

TOLERANCE = 5673  # of log2 of an amount, Q16: a ratio of 6 %


# --- Section 7: change points


class Split:
    """A change before the bin `at` (index among the subject's bins), found with the squared z `Z` (Q16), d in Q16."""

    def __init__(self, at, Z, d):
        self.at, self.Z, self.d, self.bits = at, Z, d, 0


def change_points(market):
    """Sets segment and faded (v') of every report of a rating pair; {subject: (bins, splits, oscillates)}."""
    found = {}
    for subject, about in market.about.items():
        reports = [report for pair in about for report in pair.reports]
        bins, splits = subject_splits(market, reports)
        better = [split.d < 0 for split in splits]
        oscillates = sum(a != b for a, b in zip(better, better[1:])) >= 2
        strong = market.scoring["change_strong_z_milli"] ** 2 * ONE // 10**6
        for split in splits:
            split.bits = 0 if oscillates else 4 if split.Z > strong else 2
        starts = [bins[split.at] for split in splits]
        for report in reports:
            report.segment = sum(1 for start in starts if start <= report.bin)
            bits = sum(split.bits for split, start in zip(splits, starts) if report.bin < start)
            report.faded = report.v >> min(6, bits)
        found[subject] = (bins, splits, oscillates)
    return found


def subject_splits(market, reports):
    """(bin numbers ascending, splits in order of time) of one subject."""
    scoring = market.scoring
    taus, sums = [], {}
    for report in reports:
        tau = report.v >> 16
        if report.undelivered:
            tau = tau * scoring["undelivered_test_milli"] // 1000
        taus.append(tau)
        report.bin = report.closed_at // scoring["change_bin_s"]
        of_bin = sums.setdefault(report.bin, [0, 0, 0])  # W, Y, V
        of_bin[0] += tau
        of_bin[1] += tau * report.y
        of_bin[2] += tau * tau
    bins = sorted(number for number, of_bin in sums.items() if of_bin[0] > 0)
    mass, bad = sum(of_bin[0] for of_bin in sums.values()), sum(of_bin[1] for of_bin in sums.values())
    if scoring["change_splits"] == 0 or mass <= q16(6, 10):
        return bins, []
    mean = (bad + q32(12, 100)) // (mass + q16(3, 10))
    spread = 0
    for report, tau in zip(reports, taus):
        W, Y, _ = sums[report.bin]
        local = (Y - tau * report.y + q16(15, 100) * mean) // (W - tau + q16(15, 100))
        spread += tau * (report.y - local) ** 2
    variance = max(1, (8 * spread // 10 + q48(8, 100)) // (mass + q16(2)))
    values = [sums[number] for number in bins]
    least = scoring["change_z_milli"] ** 2 * ONE // 10**6
    ranges, splits = [(0, len(bins))], []
    while len(splits) < scoring["change_splits"]:
        best = [best_split(scoring, values[low:high], low, variance) for low, high in ranges]
        best = [split for split in best if split and split.Z > least]
        if not best:
            break
        chosen = min(best, key=lambda split: (-split.Z, split.at))
        splits.append(chosen)
        low, high = next((low, high) for low, high in ranges if low < chosen.at < high)
        ranges.remove((low, high))
        ranges += [(low, chosen.at), (chosen.at, high)]
    return bins, sorted(splits, key=lambda split: split.at)


def best_split(scoring, values, offset, variance):
    """The split of one range with the largest Z, the first of equals; None for a range of one bin."""
    best, before, after = None, [0, 0, 0], [sum(column) for column in zip(*values)]
    for at in range(1, len(values)):
        for i in range(3):
            before[i] += values[at - 1][i]
            after[i] -= values[at - 1][i]
        usual = (before[1] + after[1] + q32(12, 100)) // (before[0] + after[0] + q16(3, 10))
        means, spread, enough = [], 0, True
        for W, Y, V in (before, after):
            enough = enough and W >= ONE and 2 * W * W >= 5 * V
            means.append((Y + q16(3, 10) * usual) // (W + q16(3, 10)))
            spread += ((V + q32(3, 100)) << 32) // (W + q16(9, 100)) ** 2
        d = means[1] - means[0]
        Z = 0 if not enough or abs(d) <= q16(scoring["change_shift_bp"], 10000) else (d * d << 48) // (variance * max(1, spread))
        if best is None or Z > best.Z:
            best = Split(offset + at, Z, d)
    return best


# --- Section 8: the outside view


def outside_view(market):
    """ex (Q16, signed), out (Q32) and oc (Q16) of every rating pair."""
    for about in market.about.values():
        per_segment, per_pair = {}, []
        for pair in about:
            own = {}
            for report in pair.reports:
                vr = reference(market, pair, report.v)
                for sums in (own, per_segment):
                    of_segment = sums.setdefault(report.segment, [0, 0])
                    of_segment[0] += vr
                    of_segment[1] += vr * report.y
            per_pair.append(own)
        mass, bad = (sum(column) for column in zip(*per_segment.values()))
        for pair, own in zip(about, per_pair):
            own_mass, own_bad = (sum(column) for column in zip(*own.values()))
            base = (bad - own_bad + q32(5, 100) * q16(4, 10)) // (mass - own_mass + q32(5, 100))
            views = {}
            for segment, (vr, vry) in own.items():
                ow = per_segment[segment][0] - vr
                views[segment] = ow, (per_segment[segment][1] - vry + q32(1, 10) * base) // (ow + q32(1, 10))
            excess = out = 0
            for report in pair.reports:
                ow, mu = views[report.segment]
                excess += report.s * ((pair.beta * mu >> 16) - report.b)
                out += report.s * ow
            pair.ex = excess // (pair.S + q32(1, 2))
            pair.out = div(out, pair.S)
            pair.oc = div(pair.out * ONE, pair.out + q32(1, 10))


def scale(market):
    """σx, the scale of excesses of the market (Q16): a weighted median, clamped."""
    least, most = (q16(market.scoring[f"excess_{end}_bp"], 10000) for end in ("min", "max"))
    seen = sorted((abs(pair.ex), market.c[pair.rater]) for pair in market.rating if pair.heard and pair.oc > q16(3, 10))
    if not seen:
        return most
    all_c, so_far = sum(c for _, c in seen), 0
    for excess, c in seen:
        so_far += c
        if 2 * so_far >= all_c:
            return max(least, min(most, excess))
    raise AssertionError("the whole is at least its half")


# --- Section 9: suspicion of pairs, and dampening


def reciprocal(pair, sigma):
    """R, step 1 (Q16)."""
    if pair.reverse is None:
        return 0
    least = min(pair.S, pair.reverse.S)
    mutual = max(0, min(pair.ex, pair.reverse.ex)) * ONE // sigma
    return mutual if least >= 2 * Q32 else mutual // 2 if least >= Q32 else 0


def slander(pair, low):
    """N, step 2 (Q16)."""
    if pair.ex >= -q16(2, 10):
        return 0
    size = min(pair.S, 8 * Q32) >> 16
    return ((size * (-pair.ex - q16(15, 100)) >> 16) * pair.oc >> 16) * low >> 16


def boost(market, pair, sigma, low):
    """E, step 3 (Q16)."""
    threshold = sigma * market.scoring["boost_from_milli"] // 1000
    kf = (3 * ONE + 7 * pair.oc) // 10
    root = isqrt(min(pair.S, 16 * Q32))
    found = 0
    if pair.ex > threshold:
        found = ((max(0, pair.ex - 2 * threshold // 3) * kf >> 16) * root >> 16) * low >> 16
    if pair.S >= 6 * Q32:
        found = max(found, (max(0, pair.ex - q16(3, 10)) * kf >> 16) * root >> 16)
    return found


def wash_links(market):
    """Sets the links of every rating pair, step 4."""
    window, common_bp = market.scoring["wash_window_s"], market.scoring["wash_common_bp"]
    trades = [r for r in market.reports if r.level > UNILATERAL and (r.role == "buyer" or r.matching is None)]
    trades.sort(key=lambda r: (r.closed_at, r.buyer(), r.seller(), r.amount, r.index))
    sizes = [lg(max(1, trade.amount)) for trade in trades]
    in_bin = {}
    for al in sizes:
        in_bin[al // TOLERANCE] = in_bin.get(al // TOLERANCE, 0) + 1
    bought = {}
    for place, trade in enumerate(trades):
        bought.setdefault(trade.buyer(), []).append(place)
    first = {}  # of each agent's purchases, the first that can still be later than the trade at hand
    linked = set()
    for place, (trade, al) in enumerate(zip(trades, sizes)):
        if in_bin[al // TOLERANCE] * 10000 >= common_bp * len(trades):
            continue
        buyer, seller = trade.buyer(), trade.seller()
        places = bought.get(seller, [])
        start = first.get(seller, 0)
        while start < len(places) and trades[places[start]].closed_at <= trade.closed_at:
            start += 1
        first[seller] = start
        for other in places[start : start + 64]:
            if trades[other].closed_at > trade.closed_at + window:
                break
            if abs(al - sizes[other]) <= TOLERANCE and trades[other].seller() != buyer:
                linked |= {place, other}
                break
    links = {}
    for place in linked:
        ends = (trades[place].buyer(), trades[place].seller())
        links[ends] = links.get(ends, 0) + 1
    kept = [pair for pair in market.rating if links.get((pair.rater, pair.subject), 0) >= 2]
    component = components([(pair.rater, pair.subject) for pair in kept])
    members = {}
    for agent, number in component.items():
        members.setdefault(number, []).append(agent)
    for pair in kept:
        if component[pair.rater] == component[pair.subject] and len(members[component[pair.rater]]) >= 3:
            pair.links = links[pair.rater, pair.subject]


def components(arrows):
    """Strongly connected components: {node: number of its component}. Kosaraju: order by the end of a search, then back."""
    ahead, back = {}, {}
    for source, target in arrows:
        ahead.setdefault(source, []).append(target)
        back.setdefault(target, []).append(source)

    def search(start, onward, seen):
        """Nodes reached from start and not seen, each after all that is reached through it."""
        seen.add(start)
        order, stack = [], [(start, iter(onward.get(start, [])))]
        while stack:
            node, rest = stack[-1]
            following = next((other for other in rest if other not in seen), None)
            if following is None:
                order.append(node)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(onward.get(following, []))))
        return order

    nodes, seen, order = sorted(set(ahead) | set(back)), set(), []
    for node in nodes:
        if node not in seen:
            order += search(node, ahead, seen)
    component, seen = {}, set()
    for node in reversed(order):
        if node not in seen:
            component |= dict.fromkeys(search(node, back, seen), node)
    return component


def core(market, sigma):
    """Boosting pairs inside the core, step 5."""
    share = market.scoring["core_share_bp"]
    threshold = sigma * market.scoring["core_excess_milli"] // 1000
    vv = {pair: min(pair.S, 8 * Q32) for pair in market.rating}
    boosting = [pair for pair in market.rating if pair.heard and pair.ex > threshold and pair.oc > q16(3, 10)]
    given = {agent: max(3 * Q32, sum(vv[p] for p in market.by.get(agent, []) if p.heard)) for agent in market.agents}
    got = {agent: max(3 * Q32, sum(vv[p] for p in market.about.get(agent, []) if p.heard)) for agent in market.agents}
    inside = set(market.agents)
    for _ in range(8):
        to_core, from_core = dict.fromkeys(inside, 0), dict.fromkeys(inside, 0)
        for pair in boosting:
            if pair.rater in inside and pair.subject in inside:
                to_core[pair.rater] += vv[pair]
                from_core[pair.subject] += vv[pair]
        inside = {
            agent
            for agent in inside
            if from_core[agent] * 10000 >= share * got[agent] and to_core[agent] * 10000 >= share * given[agent]
        }
    return {pair for pair in boosting if pair.rater in inside and pair.subject in inside}


def ramp(market, amount, name):
    """What is left (Q16) at a suspicion of `amount`, between the policy's members <name>_low_milli and <name>_high_milli."""
    low, high = (q16(market.scoring[f"{name}_{end}_milli"], 1000) for end in ("low", "high"))
    return ONE - clip((amount - low) * ONE // (high - low))


def dampening(market, sigma):
    """Sets D of every rating pair, from ex, oc and the scale."""
    in_core = core(market, sigma)
    lows = {pair: max(pair.conc, ONE - (market.c[pair.rater] >> 16)) for pair in market.rating}
    inside, floor = q16(market.scoring["core_damp_bp"], 10000), q16(market.scoring["damp_floor_bp"], 10000)
    for about in market.about.values():
        N = [slander(pair, lows[pair]) for pair in about]
        E = [boost(market, pair, sigma, lows[pair]) for pair in about]
        M = sum(market.c[pair.rater] for pair, n in zip(about, N) if pair.heard and n > q16(2, 10))
        boosts = sum(e for pair, e in zip(about, E) if pair.heard)
        for pair, n, e in zip(about, N, E):
            K = min(ONE, pair.links * ONE // 6)
            R = reciprocal(pair, sigma)
            L = n * lg1p(max(M, Q32)) >> 16
            Y = e * isqrt((boosts - (e if pair.heard else 0)) << 16) >> 16
            D = inside if pair in in_core else ONE
            for amount, name in ((K, "wash"), (R, "reciprocal"), (L, "slander"), (Y, "boost")):
                D = D * ramp(market, amount, name) >> 16
            pair.D = max(floor, D)


# --- Section 10: the side of high values


def value_split(market, reports):
    """(amount, deduction Q16) of the value split of one subject, from all reports of its rating pairs, or None."""
    scoring = market.scoring
    per_segment, per_bin = {}, {}
    for report in reports:
        key = report.segment, report.closed_at // scoring["value_bin_s"]
        for sums in (per_segment.setdefault(key[0], [0, 0]), per_bin.setdefault(key, [0, 0])):
            sums[0] += report.faded
            sums[1] += report.faded * report.y
    rows = []  # amount, τ, u, ρ
    spread = mass = 0
    for report in reports:
        W, Y = per_segment[report.segment]
        sm = (Y + q48(2, 100)) // (W + q32(5, 100))
        Wl, Yl = per_bin[report.segment, report.closed_at // scoring["value_bin_s"]]
        lm = (Yl - report.faded * report.y + q32(1, 2) * sm) // (Wl - report.faded + q32(1, 2))
        rho, pair = report.y - lm, report.pair
        u = (market.c[pair.rater] >> 16) * pair.D >> 16
        u = (u * min(ONE, div(4 << 48, pair.S)) >> 16) * min(report.s, Q32) >> 32
        tau = u * scoring["undelivered_test_milli"] // 1000 if report.undelivered else u
        rows.append((report.amount, tau, u, rho))
        spread, mass = spread + tau * rho * rho, mass + tau
    variance = max(1, (spread + q48(8, 100)) // (mass + q16(2)))
    rows.sort(key=lambda row: row[0])
    low, high = [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]  # Σ τ, Σ τρ, Σ τ², Σ u, Σ uρ
    for row in rows:
        add(high, row, 1)
    best = None
    for row, following in zip(rows, rows[1:]):
        add(low, row, 1)
        add(high, row, -1)
        if row[0] != following[0]:
            deduction = border(scoring, low, high, variance)
            if deduction > 0 and (best is None or deduction > best[1]):
                best = following[0], deduction
    return best


def add(sums, row, sign):
    _, tau, u, rho = row
    for place, amount in enumerate((tau, tau * rho, tau * tau, u, u * rho)):
        sums[place] += sign * amount


def border(scoring, low, high, variance):
    """The deduction (Q16) at one border between two amounts; 0 if it does not count."""
    (wl, yl, ql, _, _), (wh, yh, qh, wu, yu) = low, high
    several = 1000 * wh * wh >= scoring["value_effective_milli"] * qh
    if wl <= q16(1, 2) or wh <= q16(1, 2) or not several:
        return 0
    d = yh // wh - yl // wl
    gap = yu // (wu + q16(1, 2))
    if d <= 0 or gap <= q16(scoring["value_gap_bp"], 10000):
        return 0
    spread = ((qh + q32(1, 10)) << 32) // wh**2 + ((ql + q32(1, 10)) << 32) // wl**2
    z = isqrt(((d * d << 48) // (variance * max(1, spread))) << 16)
    least, most = (q16(scoring[f"value_z_{end}_milli"], 1000) for end in ("low", "high"))
    return gap * clip((z - least) * ONE // (most - least)) >> 16
