//! Every constant of the scoring function: its name, range and meaning, in one table.
//!
//! The table makes the struct, its reading and its writing, so a constant cannot exist in one and not in another.

/// What a constant of the policy may be and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Name of the member.
    pub name: &'static str,
    /// Least value.
    pub min: u64,
    /// Greatest value.
    pub max: u64,
    /// One sentence, with the unit.
    pub meaning: &'static str,
}

/// Declares a struct of `u64` members together with its table of [`Parameter`]s.
macro_rules! constants {
    ($(#[$outer:meta])* $name:ident { $($field:ident: $min:literal ..= $max:literal, $meaning:literal;)* }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $(#[doc = $meaning] pub $field: u64,)*
        }

        impl $name {
            /// The members, in the order of the documentation.
            pub const PARAMETERS: &'static [Parameter] = &[
                $(Parameter { name: stringify!($field), min: $min, max: $max, meaning: $meaning },)*
            ];

            /// The value of the member with this name.
            pub fn get(&self, name: &str) -> Option<u64> {
                match name {
                    $(stringify!($field) => Some(self.$field),)*
                    _ => None,
                }
            }

            /// Sets the member with this name, for reading a policy; another name does nothing.
            pub(super) fn set(&mut self, name: &str, value: u64) {
                match name {
                    $(stringify!($field) => self.$field = value,)*
                    _ => {}
                }
            }
        }
    };
}

constants! {
    /// Limits of admission. Enforced by the service; here because an auditor checks them.
    Admission {
        max_age_s: 0..=315_360_000, "Oldest `closed_at` a report may have when it is admitted, seconds before the log time.";
        max_skew_s: 0..=3600, "How far `iat` may lie after the log time, seconds.";
        unilateral_per_day: 0..=1_000_000_000, "Unilateral reports per day from a key that no flow reaches.";
    }
}

constants! {
    /// Every constant of the scoring function.
    Scoring {
        flow_iterations: 1..=64, "Iterations of the seeded flow; exactly this many, no convergence test.";
        flow_return_bp: 100..=9000, "Share of every agent's flow that returns to the seeds in each iteration.";
        flow_edge_cap_milli: 1000..=16_000, "Cap of an edge's size log2(1 + mass), thousandths.";
        flow_quality_floor_bp: 0..=9999, "Mean quality at or below which an edge carries no flow.";
        flow_seller_bp: 0..=10_000, "Weight of an edge from a seller to a buyer; one from a buyer to a seller is 10000.";
        credibility_half_ppm: 1..=1_000_000_000, "Flow at which credibility is one half, millionths of one seed's share of all flow.";
        receipt_weight_milli: 1000..=10_000, "Weight of a report at level receipt; matched and countersigned are 1000.";
        unilateral_weight_milli: 0..=1000, "Weight of a unilateral report.";
        unilateral_cap_milli: 0..=1000, "Most that all unilateral reports of one pair weigh together.";
        buyer_cap_milli: 0..=1_000_000_000, "Most that the record as a buyer weighs in the score, thousandths.";
        buyer_fade_milli: 0..=1_000_000_000, "What one unit of evidence as a seller takes from that, thousandths.";
        value_base_milli: 1..=1_000_000, "Value of a trade of amount 0, thousandths.";
        value_slope_milli: 0..=1_000_000, "Value added per doubling of 1 + amount / `value_unit_nano`, thousandths.";
        value_unit_nano: 1..=1_000_000_000_000_000, "Amount at which the value has grown by one slope, 1e-9 of the reference currency.";
        value_cap_milli: 1..=1_000_000, "Cap of the value of a trade, thousandths; at least `value_base_milli`.";
        pair_cap_milli: 1000..=16_000, "Cap of a pair's size log2(1 + mass), thousandths.";
        half_life_s: 0..=3_153_600_000, "Half-life of reports at or above `negative_below_bp`, seconds; 0: no decay.";
        half_life_negative_s: 0..=3_153_600_000, "Half-life of reports below `negative_below_bp`, seconds; 0: no decay; not shorter than `half_life_s`.";
        negative_below_bp: 0..=10_000, "Quality below which a report is negative.";
        failed_quality_bp: 0..=10_000, "Quality of a failed trade whose report names none.";
        disputed_quality_bp: 0..=10_000, "Quality of a disputed trade whose report names none.";
        cancelled_quality_bp: 0..=10_000, "Quality of a cancelled trade whose report names none.";
        cancelled_weight_milli: 0..=1000, "Weight of a cancelled trade; 0 leaves it out.";
        undelivered_weight_milli: 0..=1000, "Weight of a report that nothing was delivered.";
        undelivered_test_milli: 0..=1000, "Weight of such a report in looking for change points and value splits.";
        dampening_rounds: 0..=8, "Rounds of looking for suspicious pairs.";
        concentrated_share_bp: 0..=10_000, "Share of a rater's ratings on one subject above which that pair is concentrated.";
        concentrated_mass_milli: 0..=1_000_000_000, "Ratings of a rater from which one of its pairs can be concentrated, thousandths.";
        bulk_mass_milli: 0..=1_000_000_000, "Ratings of a pair from which it is concentrated, thousandths.";
        outside_weight_milli: 1..=1_000_000, "Evidence of others at which a concentrated rater has half its voice, thousandths.";
        leniency_floor_bp: 1000..=10_000, "Least factor by which a lenient rater is corrected; 10000: none.";
        noise_scale_ppm: 0..=1_000_000, "Variance about what others say that halves a rater's voice, millionths; 0: not looked at.";
        change_splits: 0..=16, "Most change points of one agent.";
        change_bin_s: 1..=3_153_600_000, "Time within which no change is looked for, seconds.";
        change_z_milli: 0..=100_000, "Standard errors from which a change counts, thousandths.";
        change_strong_z_milli: 0..=100_000, "Standard errors from which it counts as certain, thousandths.";
        change_shift_bp: 0..=10_000, "Least change of quality that counts.";
        excess_min_bp: 1..=10_000, "Least scale of excesses of a market.";
        excess_max_bp: 1..=10_000, "Greatest scale of excesses of a market.";
        reciprocal_low_milli: 0..=1_000_000, "Mutual excess from which a pair is dampened, thousandths of the scale.";
        reciprocal_high_milli: 1..=1_000_000, "Mutual excess from which nothing is left of it.";
        slander_low_milli: 0..=1_000_000, "Slander from which a pair is dampened, thousandths.";
        slander_high_milli: 1..=1_000_000, "Slander from which nothing is left of it.";
        boost_from_milli: 0..=1_000_000, "Excess from which a pair can be a boost, thousandths of the scale.";
        boost_low_milli: 0..=1_000_000, "Boost from which a pair is dampened, thousandths.";
        boost_high_milli: 1..=1_000_000, "Boost from which nothing is left of it.";
        wash_window_s: 1..=3_153_600_000, "Time within which a like amount passed on is a link of a wash, seconds.";
        wash_common_bp: 1..=10_000, "Share of all trades from which an amount is common.";
        wash_low_milli: 0..=1_000_000, "Share of six links from which a pair is dampened, thousandths.";
        wash_high_milli: 1..=1_000_000, "Share of six links from which nothing is left of it.";
        core_share_bp: 0..=10_000, "Share of what an agent gives and gets as boosts inside a core from which it is of it.";
        core_excess_milli: 0..=1_000_000, "Excess from which a pair boosts inside a core, thousandths of the scale.";
        core_damp_bp: 0..=10_000, "What is left of a boost inside a core.";
        damp_floor_bp: 0..=10_000, "Least that is left of any pair.";
        value_bin_s: 1..=3_153_600_000, "Time within which values are compared, seconds.";
        value_effective_milli: 0..=1_000_000, "Effective number of ratings above a value split, thousandths.";
        value_gap_bp: 0..=10_000, "Difference of quality above which a value split counts.";
        value_z_low_milli: 0..=1_000_000, "Standard errors from which a value split counts, thousandths.";
        value_z_high_milli: 1..=1_000_000, "Standard errors from which it counts in full.";
        prior_quality_bp: 0..=10_000, "Quality of an agent nobody rated.";
        prior_weight_milli: 1..=1_000_000, "Evidence that the prior stands for, thousandths.";
        spread_bp: 0..=10_000, "Standard deviation of one unit of evidence.";
        z_milli: 0..=10_000, "Standard errors between mean and lower bound, thousandths.";
        model_error_bp: 0..=10_000, "How far the model itself may be off, taken from every lower bound.";
        segment_prior_weight_milli: 1..=1_000_000, "Evidence with which the lifetime mean enters the mean of a window, band or kind, thousandths.";
        recent_window_s: 1..=3_153_600_000, "Length of the recent window, seconds before `as_of`.";
        recent_evidence_milli: 0..=1_000_000_000, "Evidence from which the recent window can lower the headline, thousandths.";
        band_evidence_milli: 0..=1_000_000_000, "Evidence from which an amount band can lower the headline, thousandths.";
        band_counterparties: 1..=1_000_000, "Counterparties from which an amount band can lower the headline.";
        established_evidence_milli: 0..=1_000_000_000, "Evidence from which an agent is established, thousandths.";
        established_counterparties_milli: 0..=1_000_000_000, "Effective counterparties from which an agent is established, thousandths.";
        contested_share_bp: 1..=10_000, "Share of the evidence in dispute from which an agent is contested.";
        contested_gap_bp: 1..=10_000, "Difference between the quality a seller claims and the buyer's rating from which they disagree.";
    }
}
