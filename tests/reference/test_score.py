"""Unit checks of the reference: `python3 -m unittest discover tests/reference`."""

import json
import pathlib
import random
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import presets
import tables
from evidence import COUNTERSIGNED, MATCHED, RECEIPT, UNILATERAL, current_evidence
from market import Market, credibility, rating_weights
from score import compute
from suspicion import boost, change_points, components, outside_view, reciprocal, scale, wash_links
from tables import FLOW, ONE, Q32, q16

DAY = 86400
SCORING_MD = pathlib.Path(__file__).parents[2] / "docs" / "SCORING.md"


class World:
    """A market in the making: reports in log order, days from 0."""

    def __init__(self, *seeds):
        self.reports, self.trades = [], 0
        self.policy = presets.policy("agent-market")
        self.policy["seeds"] = sorted(seeds)

    def report(self, reporter, subject, role, day, **given):
        self.reports.append(
            {
                "index": len(self.reports),
                "id": str(len(self.reports)),
                "at_ms": day * DAY * 1000,
                "reporter": reporter,
                "subject": subject,
                "role": role,
                "market": "urn:market:1",
                "trade_id": f"t{self.trades}",
                "kind": "purchase",
                "currency": "USD",
                "amount_nano": 10**9,
                "closed_at": day * DAY,
                "status": "fulfilled",
                "quality_bp": None,
                "claimed_quality_bp": None,
                "documents": [],
                **given,
            }
        )
        return self.reports[-1]

    def trade(self, buyer, seller, quality, day, amount_nano=10**9, **given):
        """Both report; the seller rates its buyer 10000."""
        self.trades += 1
        self.report(buyer, seller, "buyer", day, quality_bp=quality, amount_nano=amount_nano, **given)
        self.report(seller, buyer, "seller", day, quality_bp=10000, amount_nano=amount_nano, **given)

    def honest(self, people, trades, chooser=None, quality=9000):
        """Random trades among people, quality by the place of the seller."""
        chooser = chooser or random.Random(1)
        for number in range(trades):
            buyer, seller = chooser.sample(people, 2)
            noise = chooser.randrange(-500, 501)
            self.trade(buyer, seller, min(10000, quality - 300 * people.index(seller) + noise), number % 60, chooser.randrange(1, 10**10))

    def market(self, as_of=60 * DAY):
        """After one pass of sections 2 to 4, 6 to 8."""
        reports, agents, _ = current_evidence(self.reports, self.policy)
        market = Market(self.policy, as_of, reports, agents)
        wash_links(market)
        credibility(market)
        rating_weights(market)
        change_points(market)
        outside_view(market)
        return market

    def scores(self, as_of=60 * DAY):
        return compute(self.policy, as_of, self.reports)

    def claims(self, as_of=60 * DAY):
        return {one["agent"]: one["claims"] for one in self.scores(as_of)["agents"]}


PEOPLE = [f"honest{i}" for i in range(8)]


class Tables(unittest.TestCase):
    def test_decay_is_the_exact_floor(self):
        for k, value in enumerate(tables.DECAY_Q32):
            self.assertTrue(value**64 <= 1 << (2048 - k) < (value + 1) ** 64)
        self.assertEqual((tables.DECAY_Q32[1], tables.DECAY_Q32[32]), (4248701964, 3037000499))

    def test_log2_is_the_exact_floor(self):
        for k in (*range(0, 257, 16), 1, 255):
            self.assertEqual(tables.LOG2_Q16[k], ((256 + k) ** 65536).bit_length() - 1 - 8 * 65536)
        self.assertEqual((tables.LOG2_Q16[64], tables.LOG2_Q16[255]), (21097, 65351))

    def test_lg_of_powers_and_between(self):
        self.assertEqual([tables.lg(1 << n) for n in (0, 1, 40, 100)], [0, ONE, 40 * ONE, 100 * ONE])
        self.assertEqual(tables.lg(3), ONE + tables.LOG2_Q16[128])
        self.assertEqual(tables.lg1p(0), 0)
        for low, high in zip(range(1, 5000), range(2, 5000)):
            self.assertLessEqual(tables.lg(low), tables.lg(high))

    def test_decay_by_halves(self):
        self.assertEqual([tables.decay(n * 100, 100) for n in (0, 1, 3, 40)], [Q32, Q32 // 2, Q32 // 8, 0])
        self.assertEqual((tables.decay(-5, 100), tables.decay(10**9, 0)), (Q32, Q32))


class Presets(unittest.TestCase):
    def test_are_the_table_of_the_text(self):
        rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+) \| \d+\.\.\d+ \|", SCORING_MD.read_text(), re.M)
        self.assertGreater(len(rows), 70)
        for column, name in enumerate(("agent-market", "rating-network")):
            self.assertEqual(presets.policy(name)["scoring"], {row[0]: int(row[1 + column]) for row in rows})


class Evidence(unittest.TestCase):
    def current(self, world):
        return current_evidence(world.reports, world.policy)[0]

    def test_levels(self):
        world = World("a")
        document = {"digest": "d", "grade": "attested"}
        world.trades += 1
        world.report("a", "b", "buyer", 1, quality_bp=9000, documents=[document])
        world.trades += 1
        world.report("a", "b", "buyer", 2, quality_bp=9000, documents=[document])
        world.trade("a", "b", 9000, 3)
        world.trades += 1
        world.report("a", "b", "buyer", 4, quality_bp=9000, documents=[{"digest": "e", "grade": "terms"}])
        self.assertEqual([r.level for r in self.current(world)], [RECEIPT, UNILATERAL, MATCHED, MATCHED, COUNTERSIGNED])

    def test_a_document_goes_to_what_superseded(self):
        world = World("a")
        document = {"digest": "d", "grade": "receipt"}
        world.report("a", "b", "buyer", 1, quality_bp=9000, documents=[document])
        world.report("a", "b", "buyer", 2, quality_bp=8000, documents=[document])
        (report,) = self.current(world)
        self.assertEqual((report.level, report.quality), (COUNTERSIGNED, 8000))

    def test_trades_take_the_lower_amount_and_the_earlier_time(self):
        world = World("a")
        world.report("a", "b", "buyer", 5, quality_bp=9000, amount_nano=5 * 10**9)
        world.report("b", "a", "seller", 4, quality_bp=9000, amount_nano=3 * 10**9)
        for report in self.current(world):
            self.assertEqual((report.amount, report.closed_at, report.amount_disputed), (3 * 10**9, 4 * DAY, True))
        world.reports[1]["currency"] = "EUR"
        for report in self.current(world):
            self.assertEqual((report.amount, report.band, report.amount_disputed), (0, 0, False))

    def test_disputes(self):
        def disputed(**seller):
            world = World("a")
            world.report("a", "b", "buyer", 1, quality_bp=5000, status="failed")
            world.report("b", "a", "seller", 1, quality_bp=10000, **seller)
            return [report.disputed for report in self.current(world)]

        self.assertEqual(disputed(), [True, True])
        self.assertEqual(disputed(claimed_quality_bp=8000), [True, True])
        self.assertEqual(disputed(claimed_quality_bp=7999), [False, False])
        self.assertEqual(disputed(status="disputed"), [False, True])

    def test_cancelled_reports_are_left_out_and_their_agents_are_not(self):
        world = World("a")
        world.report("a", "b", "buyer", 1, status="cancelled")
        reports, agents, first_seen = current_evidence(world.reports, world.policy)
        self.assertEqual((reports, agents, first_seen), ([], ["a", "b"], {"a": DAY, "b": DAY}))


class Flow(unittest.TestCase):
    def test_adds_up(self):
        world = World("honest0", "honest3", "honest7")
        world.honest(PEOPLE, 80)
        world.trade("honest1", "loner", 0, 1)
        for iterations in (1, 2, 12, 64):
            world.policy["scoring"]["flow_iterations"] = iterations
            self.assertEqual(sum(world.market().flow.values()), FLOW)

    def test_a_seed_that_is_not_there_does_not_count(self):
        world = World("nobody")
        world.honest(PEOPLE, 10)
        with self.assertRaisesRegex(ValueError, "policy.no_seeds"):
            world.market()

    def test_a_unilateral_report_gives_its_rater_nothing(self):
        world = World("honest0")
        world.honest(PEOPLE, 60)
        world.trades += 1
        world.report("stranger", "honest0", "buyer", 3, quality_bp=10000)
        self.assertEqual(world.market().flow["stranger"], 0)
        world.reports[-1]["documents"] = [{"digest": "t", "grade": "terms"}]
        self.assertGreater(world.market().flow["stranger"], 0)


class Ratings(unittest.TestCase):
    def test_a_harsh_rater_is_never_excused_and_a_lenient_one_is_read_as_stricter(self):
        world = World("honest0")
        world.honest(PEOPLE[:5], 200, quality=7000)
        for day in range(30):
            for seller in PEOPLE[1:5]:
                world.trade("harsh", seller, 1000, day)
                world.trade("lenient", seller, 10000, day)
            world.trade("honest0", "harsh", 8000, day)
            world.trade("honest0", "lenient", 8000, day)
        market = world.market()
        self.assertEqual({pair.beta for pair in market.by["harsh"]}, {ONE})
        self.assertLess(max(pair.beta for pair in market.by["lenient"]), ONE * 3 // 4)

    def test_a_ring_without_honest_customers_has_the_prior(self):
        world = World("honest0")
        world.honest(PEOPLE, 200)
        ring = [f"ring{i}" for i in range(6)]
        world.honest(ring, 400, quality=10000)
        claims = world.claims()
        for one in ring:
            self.assertEqual((claims[one]["score_bp"], claims[one]["uncertainty_bp"]), (6699, 10000))
            self.assertEqual((claims[one]["state"], claims[one]["evidence_milli"]), ("unproven", 0))
        self.assertGreater(claims["honest1"]["lower_bp"], claims["ring1"]["lower_bp"])


class Suspicion(unittest.TestCase):
    def pair(self, market, rater, subject):
        return market.pairs[rater, subject, "buyer"]

    def test_barter_has_no_excess_and_mutual_praise_has(self):
        world = World("honest0")
        world.honest(PEOPLE, 400)
        for day in range(10):
            world.trade("honest4", "honest5", 9000 - 300 * 5, day)
            world.trade("honest5", "honest4", 9000 - 300 * 4, day)
        market = world.market()
        sigma = scale(market)
        self.assertLess(reciprocal(self.pair(market, "honest4", "honest5"), sigma), q16(7, 10))
        honest = World("honest0")  # exactly as others say: nothing at all
        for day in range(10):
            for buyer in PEOPLE:
                for seller in PEOPLE:
                    if buyer != seller:
                        honest.trade(buyer, seller, 6000, day)
        market = honest.market()
        self.assertEqual({reciprocal(pair, scale(market)) for pair in market.rating}, {0})
        for day in range(10):
            world.trade("honest6", "honest7", 10000, day)
            world.trade("honest7", "honest6", 10000, day)
        market = world.market()
        self.assertGreater(reciprocal(self.pair(market, "honest6", "honest7"), scale(market)), ONE)

    def test_a_single_booster_is_not_suspicious(self):
        world = World("honest0")
        world.honest(PEOPLE, 300, quality=6000)
        for day in range(5):
            world.trade("fan", "honest7", 10000, day)
        market = world.market()
        sigma = scale(market)
        self.assertGreater(boost(market, self.pair(market, "fan", "honest7"), sigma, ONE), 0)
        alone = {(p["rater"], p["role"]): p["dampening_q16"] for p in world.scores()["pairs"] if p["subject"] == "honest7"}
        for booster in ("fan2", "fan3", "fan4"):
            for day in range(5):
                world.trade(booster, "honest7", 10000, day)
        many = {(p["rater"], p["role"]): p["dampening_q16"] for p in world.scores()["pairs"] if p["subject"] == "honest7"}
        self.assertEqual(alone["fan", "buyer"], ONE)
        self.assertLess(many["fan", "buyer"], ONE // 2)

    def test_wash_cycles_are_linked_and_chains_are_not(self):
        world = World("a")
        for day, amount in enumerate((123456789, 987654321, 555555555)):
            for hour, (buyer, seller) in enumerate((("a", "b"), ("b", "c"), ("c", "a"), ("a", "b"))):
                world.trade(buyer, seller, 9000, 3 * day, amount, closed_at=3 * day * DAY + hour * 3600)
            for hour, (buyer, seller) in enumerate((("d", "e"), ("e", "f"))):
                world.trade(buyer, seller, 9000, 3 * day, amount * 2, closed_at=3 * day * DAY + hour * 3600)
        for number in range(300):
            world.trade("x", "y", 9000, 1, 10**6 + 10**5 * number)
        market = world.market()
        self.assertEqual(
            {(pair.rater, pair.subject): pair.links for pair in market.rating if pair.links},
            {("a", "b"): 6, ("b", "c"): 3, ("c", "a"): 3},
        )

    def test_components(self):
        component = components([("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "e"), ("e", "d"), ("f", "a")])
        together = {}
        for node, number in component.items():
            together.setdefault(number, set()).add(node)
        self.assertEqual(sorted(map(sorted, together.values())), [["a", "b", "c"], ["d", "e"], ["f"]])

    def test_a_change_for_the_worse_is_found_and_forgotten_before(self):
        world = World("honest0")
        world.honest(PEOPLE, 800)
        for day in range(60):
            for buyer in PEOPLE[day % 4 :: 4]:
                world.trade(buyer, "turner", 9500 if day < 30 else 2000, day)
        (turner,) = [one for one in world.scores()["agents"] if one["agent"] == "turner"]
        self.assertEqual([(change["from"], change["better"], change["bits"]) for change in turner["changes"]], [(30 * DAY, False, 4)])
        world.policy["scoring"]["change_splits"] = 0
        self.assertLess(turner["claims"]["score_bp"], world.claims()["turner"]["score_bp"] - 1000)

    def test_who_cheats_in_large_trades_has_a_value_split(self):
        world = World("honest0")
        world.honest(PEOPLE, 200)
        for day in range(60):
            for buyer in PEOPLE:
                large = day % 6 == 5
                world.trade(buyer, "farmer", 1000 if large else 9500, day, 10**12 if large else 10**8)
        (farmer,) = [one for one in world.scores()["agents"] if one["agent"] == "farmer"]
        self.assertEqual(farmer["value_split"]["amount_nano"], 10**12)
        self.assertLess(farmer["claims"]["lower_bp"], farmer["claims"]["lifetime_lower_bp"] - 3000)


class Whole(unittest.TestCase):
    def test_permuted_input_gives_the_same_bytes(self):
        world = World("honest0", "honest1")
        world.honest(PEOPLE, 150)
        straight = json.dumps(world.scores())
        for seed in range(3):
            random.Random(seed).shuffle(world.reports)
            self.assertEqual(json.dumps(world.scores()), straight)

    def test_sybils_without_flow_change_no_score_of_another(self):
        """They trade among themselves, and blame, praise and sell to honest agents without a word from those."""
        chooser = random.Random(7)
        world = World("honest0")
        world.honest(PEOPLE, 400, quality=8000)
        for day in range(8):
            world.trade("honest1", "honest7", 10000, day)
            world.trade("honest2", "honest3", 1000, day)
            for buyer, seller in (("honest4", "honest5"), ("honest5", "honest6"), ("honest6", "honest4")):
                world.trade(buyer, seller, 8000, 3 * day, chooser.randrange(10**6, 10**12))
        counts = ("reports", "counterparties", "attested_bp", "by_kind", "by_amount_band", "markets")

        def without_counts(claims):
            return {agent: {k: v for k, v in claims[agent].items() if k not in counts} for agent in PEOPLE}

        before = without_counts(world.claims())
        sybils = [f"sybil{i}" for i in range(40)]
        cycle = [report for report in world.reports if report["role"] == "buyer" and report["index"] >= 800]
        world.honest(sybils, 500, chooser)
        self.assertEqual(without_counts(world.claims()), before)
        for one in sybils:
            for subject, quality in (("honest7", 10000), ("honest3", 0), ("honest5", 10000), ("honest1", 0)):
                for day in (3, 30, 59):
                    world.trades += 1
                    world.report(one, subject, "buyer", day, quality_bp=quality)
        for sold in cycle:
            world.trades += 1
            world.report(
                "sybil0", sold["subject"], "seller", 60, quality_bp=10000,
                amount_nano=sold["amount_nano"], closed_at=sold["closed_at"] + 60,
            )  # fmt: skip
        document = world.scores()
        self.assertEqual(without_counts({one["agent"]: one["claims"] for one in document["agents"]}), before)
        self.assertEqual({one["flow_q48"] for one in document["agents"] if one["agent"] in sybils}, {0})

    def test_as_of_long_ago_and_long_after(self):
        world = World("honest0")
        world.honest(PEOPLE, 100)
        self.assertGreater(world.claims(0)["honest1"]["evidence_milli"], world.claims(400 * DAY)["honest1"]["evidence_milli"])
        self.assertEqual(world.claims(30000 * DAY)["honest1"]["score_bp"], 6699)

    def test_claims_are_all_of_the_schema(self):
        schema = json.loads((SCORING_MD.parents[1] / "schemas" / "claims.schema.json").read_text())
        world = World("honest0")
        world.honest(PEOPLE, 100)
        for claims in world.claims().values():
            self.assertEqual(sorted(claims), sorted(schema["required"]))
            for name, rule in schema["properties"].items():
                if rule.get("type") == "integer":
                    self.assertTrue(rule["minimum"] <= claims[name] <= rule["maximum"], name)

    def test_rating_network(self):
        world = World("honest0")
        world.policy.update({**presets.policy("rating-network"), "seeds": ["honest0"]})
        for day in range(20):
            for rater in PEOPLE:
                for rated in PEOPLE:
                    if rater != rated:
                        world.trades += 1
                        world.report(rater, rated, "buyer", day, quality_bp=9000 if rated != "honest7" else 500)
        document = world.scores()
        claims = {one["agent"]: one["claims"] for one in document["agents"]}
        self.assertIsNone(document["scale_q16"])
        self.assertEqual({pair["dampening_q16"] for pair in document["pairs"]}, {ONE})
        self.assertGreater(claims["honest1"]["lower_bp"], 8000)
        self.assertLess(claims["honest7"]["lower_bp"], 1500)


if __name__ == "__main__":
    unittest.main()
