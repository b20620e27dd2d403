"""Section 11 of docs/SCORING.md: from weighed reports to the claims about one agent."""

from math import isqrt

from evidence import UNILATERAL
from market import voice
from tables import ONE, div, q16, q32

THRESHOLDS = (2500, 5000, 7500, 9000)
MOST_MARKETS = 8


def basis_points(x):
    return x * 10000 >> 16


def both_roles(market):
    """Sets weight (Q32, as it enters the score) and good (quality, Q16) of every report; {agent: reports about it}.

    A buyer's report that belongs to no rating pair is counted and weighs nothing."""
    scoring = market.scoring
    about = {agent: [] for agent in market.agents}
    sold, bought = dict.fromkeys(market.agents, 0), dict.fromkeys(market.agents, 0)  # W_S, W_B
    rating = set(market.rating)
    for pair in market.pairs.values():
        e0 = voice(market, pair)
        for report in pair.reports:
            about[pair.subject].append(report)
            if pair in rating:
                report.weight, report.good = report.faded, ONE - report.y
                sold[pair.subject] += report.weight
            elif pair.role == "buyer":
                report.weight, report.good = 0, ONE - report.b
            else:
                report.v, report.good = div(e0 * report.w * report.value, pair.PA), ONE - report.b
                bought[pair.subject] += report.v
    for agent, reports in about.items():
        most = min(bought[agent], q32(scoring["buyer_cap_milli"], 1000))
        X = max(0, most - sold[agent] * scoring["buyer_fade_milli"] // 1000)
        for report in reports:
            if report.role == "seller":
                report.weight = div(report.v * X, bought[agent])
    return about


def undampened(market):
    """Σ ⌊v · ONE / D⌋ of every rating pair: about what it would weigh if nothing were dampened (`dampening_bp`)."""
    return {pair: sum(report.v * ONE // pair.D for report in pair.reports) for pair in market.rating}


class Record:
    """All reports about one agent, with their sums W and Q and the mean m."""

    def __init__(self, market, agent, reports):
        self.market, self.scoring, self.agent, self.reports = market, market.scoring, agent, reports
        self.w0 = q32(self.scoring["prior_weight_milli"], 1000)
        self.W = sum(report.weight for report in reports)
        Q = sum(report.weight * report.good for report in reports)
        self.mean = (Q + self.w0 * q16(self.scoring["prior_quality_bp"], 10000)) // (self.W + self.w0)

    def bound(self, mean, w):
        """The lower bound (Q16) of a mean with the evidence w (Q32)."""
        spread = self.scoring["z_milli"] * self.scoring["spread_bp"] << 48
        return max(0, mean - spread // (10**7 * isqrt(w << 32)) - q16(self.scoring["model_error_bp"], 10000))

    def segment(self, weighed):
        """(mean, bound, Ws) of a segment given as (weight, quality) of its reports."""
        Ws, Qs = sum(w for w, _ in weighed), sum(w * quality for w, quality in weighed)
        p = q32(self.scoring["segment_prior_weight_milli"], 1000)
        mean = (Qs + p * self.mean) // (Ws + p)
        return mean, self.bound(mean, Ws + min(p, max(0, self.W - Ws)) + self.w0), Ws

    def part(self, reports):
        """(mean, bound, Ws) of a segment of the record."""
        return self.segment([(report.weight, report.good) for report in reports])

    def can_lower(self, reports, weight_of):
        """Whether a band or the record as a buyer has the evidence and the raters to lower the headline."""
        enough = sum(map(weight_of, reports)) >= q32(self.scoring["band_evidence_milli"], 1000)
        raters = {report.reporter for report in reports if weight_of(report) > 0}
        return enough and len(raters) >= self.scoring["band_counterparties"]

    def recent_lower(self):
        since = self.market.as_of - self.scoring["recent_window_s"]
        _, bound, Ws = self.part([report for report in self.reports if report.closed_at >= since])
        return bound if Ws >= q32(self.scoring["recent_evidence_milli"], 1000) else self.lifetime_lower()

    def lifetime_lower(self):
        return self.bound(self.mean, self.W + self.w0)

    def bands(self):
        """{band: reports}, the bands with reports, ascending."""
        return {band: [r for r in self.reports if r.band == band] for band in sorted({r.band for r in self.reports})}

    def lower(self, split):
        """The headline (Q16)."""
        deduction = split[1] if split else 0
        bounds = [self.lifetime_lower(), self.recent_lower(), self.bound(max(0, self.mean - deduction), self.W + self.w0)]
        for reports in self.bands().values():
            if self.can_lower(reports, lambda report: report.weight):
                bounds.append(self.part(reports)[1])
        as_buyer = [report for report in self.reports if report.role == "seller"]
        if self.can_lower(as_buyer, lambda report: report.v):
            bounds.append(self.segment([(report.v, report.good) for report in as_buyer])[1])
        return min(bounds)

    def effective_counterparties(self):
        """Inverse Simpson of the raters' weights, thousandths."""
        weights = {}
        for report in self.reports:
            weights[report.reporter] = weights.get(report.reporter, 0) + report.weight
        V = [weight >> 8 for weight in weights.values()]
        return div(sum(V) ** 2 * 1000, sum(v * v for v in V))

    def state(self, evidence, effective):
        if evidence < self.scoring["established_evidence_milli"]:
            return "unproven"
        if effective < self.scoring["established_counterparties_milli"]:
            return "unproven"
        disputed = sum(report.weight for report in self.reports if report.disputed)
        return "contested" if disputed * 10000 >= self.scoring["contested_share_bp"] * self.W else "established"

    def markets(self):
        """The markets by weight, then reports, both descending, then name."""
        found = {}
        for report in self.reports:
            of_market = found.setdefault(report.market, [0, 0])
            of_market[0] += report.weight
            of_market[1] += 1
        order = sorted(found, key=lambda name: (-found[name][0], -found[name][1], name))
        return [{"market": name, "reports": found[name][1]} for name in order[:MOST_MARKETS]]

    def summary(self, reports):
        """One value of by_kind or by_amount_band."""
        mean, bound, _ = self.part(reports)
        return {"lower_bp": basis_points(bound), "score_bp": basis_points(mean), "reports": len(reports)}

    def dampening(self, full_weights):
        about = self.market.about.get(self.agent, [])
        full = sum(full_weights[pair] for pair in about)
        kept = sum(report.v for pair in about for report in pair.reports)
        return min(10000, kept * 10000 // full) if full else 10000

    def claims(self, split, full_weights, first_seen, erased_reports):
        """All claims, contract section 4. first_seen: {agent: Unix seconds}."""
        evidence, effective = self.W * 1000 >> 32, self.effective_counterparties()
        lower = basis_points(self.lower(split))
        attested = sum(1 for report in self.reports if report.level > UNILATERAL)
        edges = self.market.policy["amount_bands_milli"]
        kinds = sorted({report.kind for report in self.reports})
        return {
            "score_bp": basis_points(self.mean),
            "uncertainty_bp": self.w0 * 10000 // (self.W + self.w0),
            "lower_bp": lower,
            "lifetime_lower_bp": basis_points(self.lifetime_lower()),
            "recent_lower_bp": basis_points(self.recent_lower()),
            "state": self.state(evidence, effective),
            "reports": len(self.reports),
            "counterparties": len({report.reporter for report in self.reports}),
            "effective_counterparties_milli": effective,
            "evidence_milli": evidence,
            "attested_bp": div(attested * 10000, len(self.reports)),
            "by_kind": {kind: self.summary([r for r in self.reports if r.kind == kind]) for kind in kinds},
            "by_amount_band": [{"from_milli": edges[b], **self.summary(reports)} for b, reports in self.bands().items()],
            "markets": self.markets(),
            "dampening_bp": self.dampening(full_weights),
            "flags": [],
            "first_seen": first_seen[self.agent],
            "rotations": 0,
            "last_rotated": 0,
            "erased_reports": erased_reports,
            **{f"lower_gte_{threshold}": lower >= threshold for threshold in THRESHOLDS},
        }
