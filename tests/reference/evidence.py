"""Section 1 of docs/SCORING.md: from the reports of a log prefix to the reports that count.

Also the two ways in: the JSON document of score.py, and an import CSV (docs/IMPORT.md)."""

import csv
import gzip
from fractions import Fraction

STATUSES = ("fulfilled", "partial", "failed", "disputed", "cancelled")
KINDS = ("data_swap", "purchase", "compute_auction", "service")
GRADES = ("terms", "receipt", "attested")
COMPLEMENT = {"buyer": "seller", "seller": "buyer"}
UNILATERAL, MATCHED, COUNTERSIGNED, RECEIPT = range(4)  # levels, ascending


class Report:
    """One report as given; `current_evidence` adds what section 1 says of it, score.py what the later sections do."""

    __slots__ = (
        # as given
        "index", "id", "at_ms", "reporter", "subject", "role", "market", "trade_id", "kind", "currency", "amount_nano",
        "given_closed_at", "status", "quality_bp", "claimed_quality_bp", "documents",
        # section 1
        "trade", "matching", "closed_at", "amount", "band", "amount_disputed", "level", "quality", "disputed",
        # sections 2 to 11
        "s", "w", "value", "b", "undelivered", "pair", "y", "v", "faded", "segment", "bin", "weight", "good",
    )  # fmt: skip

    def __init__(self, given):
        self.index, self.id, self.at_ms = given["index"], given["id"], given["at_ms"]
        self.reporter, self.subject, self.role = given["reporter"], given["subject"], given["role"]
        self.market, self.trade_id, self.kind = given["market"], given["trade_id"], given["kind"]
        self.currency, self.amount_nano = given["currency"], given["amount_nano"]
        self.given_closed_at, self.status = given["closed_at"], given["status"]
        self.quality_bp, self.claimed_quality_bp = given["quality_bp"], given["claimed_quality_bp"]
        self.documents = given["documents"]
        if self.reporter == self.subject:
            raise ValueError(f"report {self.index}: reporter and subject are the same")
        if self.role not in COMPLEMENT or self.kind not in KINDS or self.status not in STATUSES:
            raise ValueError(f"report {self.index}: role, kind or status")
        if self.quality_bp is None and self.status in ("fulfilled", "partial"):
            raise ValueError(f"report {self.index}: {self.status} without quality_bp")
        if self.claimed_quality_bp is not None and self.role != "seller":
            raise ValueError(f"report {self.index}: a buyer claims no quality")
        if any(document["grade"] not in GRADES for document in self.documents):
            raise ValueError(f"report {self.index}: grade of a document")
        low, high = sorted((self.reporter, self.subject))
        self.trade = (self.market, self.trade_id, low, high)

    def buyer(self):
        return self.reporter if self.role == "buyer" else self.subject

    def seller(self):
        return self.subject if self.role == "buyer" else self.reporter


def current_reports(reports):
    """Of each reporter on each trade the last in log order; in log order."""
    current = {}
    for report in reports:
        current[report.trade, report.reporter] = report
    return sorted(current.values(), key=lambda report: report.index)


def match(current, policy):
    """Trades: what two matching reports say together, else each alone."""
    of_trade = {}
    for report in current:
        of_trade.setdefault(report.trade, []).append(report)
    for together in of_trade.values():
        if len(together) == 2 and together[0].role == COMPLEMENT[together[1].role]:
            one, other = together
            one.matching, other.matching = other, one
        else:
            for report in together:
                report.matching = None
    for report in current:
        other = report.matching
        report.closed_at, nano, report.amount_disputed = report.given_closed_at, report.amount_nano, False
        if other is not None:
            report.closed_at = min(report.given_closed_at, other.given_closed_at)
            if report.currency == other.currency:
                nano = min(report.amount_nano, other.amount_nano)
                report.amount_disputed = report.amount_nano != other.amount_nano
            else:
                nano = 0  # in the lowest band, with the amount 0
        report.amount = nano * policy["currencies"].get(report.currency, 0) // 1000
        report.band = max(i for i, low in enumerate(policy["amount_bands_milli"]) if low * 10**6 <= report.amount)


def levels(reports, current):
    """Levels. A receipt or attestation belongs to the first report that quotes it, or to the one that superseded that."""
    owner = {}
    for report in reports:  # superseded ones too
        for document in report.documents:
            if document["grade"] != "terms":
                owner.setdefault(document["digest"], (report.trade, report.reporter))
    for report in current:
        lifted = {
            document["grade"]
            for document in report.documents
            if document["grade"] == "terms" or owner[document["digest"]] == (report.trade, report.reporter)
        }
        if "attested" in lifted:
            report.level = RECEIPT
        elif lifted:
            report.level = COUNTERSIGNED
        else:
            report.level = MATCHED if report.matching else UNILATERAL


def quality(report, scoring):
    """Quality in basis points: the report's own, else that of its status."""
    return report.quality_bp if report.quality_bp is not None else scoring[report.status + "_quality_bp"]


def contradict(one, other, gap_bp):
    """Whether two matching reports contradict each other."""
    seller, buyer = (one, other) if one.role == "seller" else (other, one)
    if seller.claimed_quality_bp is not None:
        return abs(seller.claimed_quality_bp - buyer.quality) >= gap_bp
    good = [report.status in ("fulfilled", "partial") for report in (seller, buyer)]
    bad = [report.status in ("failed", "disputed") for report in (seller, buyer)]
    return any(good) and any(bad)


def current_evidence(given, policy):
    """Section 1: (the reports that count, in log order; the agents, ascending; their first_seen in Unix seconds)."""
    reports = sorted((Report(one) for one in given), key=lambda report: report.index)
    scoring = policy["scoring"]
    current = current_reports(reports)
    match(current, policy)
    levels(reports, current)
    for report in current:
        report.quality = quality(report, scoring)
    for report in current:
        contradicted = report.matching and contradict(report, report.matching, scoring["contested_gap_bp"])
        report.disputed = report.status == "disputed" or bool(contradicted)
    first_seen = {}
    for report in reports:
        for agent in (report.reporter, report.subject):
            first_seen[agent] = min(first_seen.get(agent, report.at_ms // 1000), report.at_ms // 1000)
    counted = [r for r in current if r.status != "cancelled" or scoring["cancelled_weight_milli"] > 0]
    return counted, sorted(first_seen), first_seen


def read_csv(path):
    """The reports of an import CSV, as in the JSON document. An alias stands for its agent's DID, so ties between agents
    (the remainders of the seeds, the order of wash trades) fall as the aliases sort and not as the DIDs would; nothing
    else depends on names. `countersigned` is terms by the subject; log time is the row's."""
    with gzip.open(path, "rt", newline="") if path.endswith(".gz") else open(path, newline="") as file:
        return [_row(index, row) for index, row in enumerate(csv.DictReader(file))]


def _row(index, row):
    def number(text):
        return int(text) if text else None

    return {
        "index": index,
        "id": str(index),
        "at_ms": int(row["time"]) * 1000,
        **{name: row[name] for name in ("reporter", "subject", "role", "market", "trade_id", "kind", "currency", "status")},
        "amount_nano": int(Fraction(row["amount"] or "0") * 10**9),
        "closed_at": int(row["time"]),
        "quality_bp": number(row["quality_bp"]),
        "claimed_quality_bp": number(row["claimed_quality_bp"]),
        "documents": [{"digest": f"terms of row {index}", "grade": "terms"}] if row["level"] == "countersigned" else [],
    }
