//! Families of markets that differ in their habits.

/// A named family.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// What is special about it.
    pub summary: &'static str,
    /// What differs from the default, as a habits file has it.
    pub habits: &'static str,
}

/// All of them.
pub const FAMILIES: &[Family] = &[
    Family {
        name: "step-multiplicative",
        summary: "one step of quality, raters that scale the fault, nearly all reported by both; barter, chains, cliques and flash crowds",
        habits: "",
    },
    Family {
        name: "gradual-additive",
        summary: "quality moves slowly or with the season, raters add a constant, the unhappy report more, few sellers claim",
        habits: "drift_step = 0.03\ndrift_gradual = 0.3\ndrift_season = 0.1\ndrift_dip = 0.08\nadditive = 1.0\nrater_strength = 0.4\nunhappy = 2.5\nbuyer_reports = 0.6\n\
                 seller_reports = 0.6\nclaims = 0.4\nclaim_optimism = 0.04\nresellers = 0.03\ncooperatives = 0.03\nbulk = 0.02\nreputation_pull = 0.75",
    },
    Family {
        name: "extreme-raters",
        summary: "half of the raters know only all and nothing, many are harsh or erratic, stars instead of numbers",
        habits: "extreme = 0.5\nharsh = 0.2\nlenient = 0.1\nerratic = 0.1\nrating_step = 0.25\nadditive = 0.5\ndrift_steps = 0.1\ndrift_step = 0.05\nbuyer_reports = 0.8\nunhappy = 1.5",
    },
    Family {
        name: "many-currencies",
        summary: "four markets in five trade in EUR, USD, USDT or a coin that no policy lists; wide amounts, batches",
        habits: "foreign = 0.8\nunlisted = 0.25\nvenues = 5.0\nbatched = 0.5\namount_spread = 1.3\ndrift_gradual = 0.1\nbulk = 0.02\nclaims = 0.7",
    },
    Family {
        name: "cooperatives",
        summary: "a fifth of the agents trade in cooperatives, cliques and chains, and both ways",
        habits: "cooperatives = 0.14\ncliques = 0.04\nchains = 0.03\nboth = 0.5\nsellers = 0.12\ntrap_traffic = 0.3\nloyalty = 0.55\nadditive = 0.4\ndrift_gradual = 0.1",
    },
    Family {
        name: "resellers",
        summary: "much is bought to be sold on, orchestrators make services of others', suppliers live of one buyer",
        habits: "resellers = 0.12\norchestrators = 0.06\nbulk = 0.05\nboth = 0.4\nsellers = 0.15\ntrap_traffic = 0.3\ndrift_gradual = 0.1\ndrift_dip = 0.05",
    },
    Family {
        name: "micro-only",
        summary: "purchases for fractions of a cent, settled in batches, one report in two",
        habits: "purchase = 0.98\nswap = 0.01\nauction = 0.005\nservice = 0.005\nbatched = 0.8\nbatch_hours = 12.0\nbuyer_reports = 0.5\nseller_reports = 0.5\ncountersigned = 0.3\nvenues = 6.0\nrating_step = 0.05",
    },
    Family {
        name: "auctions",
        summary: "mostly auctions of compute and services, tight bids in half of the markets, many surges",
        habits: "auction = 0.45\nservice = 0.40\npurchase = 0.12\nswap = 0.03\ntight_venues = 0.5\nsurges = 8.0\nbidders = 6.0\nnegotiated = 0.05\nvenues = 4.0\ndrift_steps = 0.06",
    },
    Family {
        name: "newcomers",
        summary: "most agents join on the way, half of them in promotions, many leave",
        habits: "newcomers = 0.65\npromoted = 0.5\nexits = 0.3\ngrowth = 6.0\ndrift_gradual = 0.08\nloyalty = 0.2\nunhappy = 1.5\nbuyer_reports = 0.8",
    },
    Family {
        name: "sparse",
        summary: "a year in which agents trade seldom and buyers know few sellers; meant for few trades an agent",
        habits: "days = 360.0\nbuyer_skew = 1.3\nseller_skew = 1.1\ncandidates = 3.0\nloyalty = 0.2\nbuyer_reports = 0.85\nseller_reports = 0.7\ndrift_step = 0.05\ndrift_gradual = 0.15",
    },
    Family {
        name: "dense",
        summary: "sixty days of agents that trade all day, quality that changes often; meant for many trades an agent",
        habits: "days = 60.0\nloyalty = 0.5\ndrift_steps = 0.15\ndrift_season = 0.1\ndrift_step = 0.05\ncandidates = 9.0\nreputation_pull = 0.85\nbatched = 0.3",
    },
    Family {
        name: "small-community",
        summary: "nearly everybody sells and buys, in few markets, with friends; meant for few agents",
        habits: "both = 0.75\nsellers = 0.08\nvenues = 1.0\nloyalty = 0.7\nbarter = 0.06\ncliques = 0.08\ncooperatives = 0.06\ntrap_traffic = 0.3\nlenient = 0.35\nnewcomers = 0.12\nadditive = 0.5\ncountersigned = 0.3",
    },
    Family {
        name: "loose-reports",
        summary: "half of the buyers and a third of the sellers report, the unhappy three times as often, ratings are noisy and lenient",
        habits: "buyer_reports = 0.35\nunhappy = 3.0\nseller_reports = 0.35\nrating_noise = 0.1\nlenient = 0.4\nerratic = 0.12\nquality_noise = 0.12\nclaims = 0.3\ncountersigned = 0.25\nlate_payers = 0.1\ndrift_gradual = 0.15",
    },
    Family {
        name: "winner-takes-all",
        summary: "buyers see the score clearly and take the best of many; quality is high and hard to tell apart",
        habits: "reputation_pull = 0.95\ncandidates = 20.0\nscore_noise = 0.03\nloyalty = 0.15\nquality_mean = 0.84\nquality_spread = 0.1\nseller_skew = 1.2\ndrift_dip = 0.1\ndrift_gradual = 0.1\nfailures = 0.015",
    },
];
