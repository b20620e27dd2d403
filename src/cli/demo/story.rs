//! What the demo does, step by step, and what it says about it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use goodstanding_verify::{
    b64,
    claims::{Claims, State},
    did::Did,
    report::TradeKind,
    token::Verdict,
};
use rayon::prelude::*;
use serde::Serialize;

use super::{
    market::{Agent, Market, Nature},
    shell::{program, quoted},
    tokens::{MARKETPLACE, MIN_LOWER_BP},
};
use crate::{
    app::App,
    cli::{
        client::Client,
        output::{percent, say},
        policy::set_seeds,
    },
    code::{Code, Fault},
    epoch,
    ingest::{
        blocking,
        import::{Agents, name_agents},
    },
    keys::{KeyFile, SecretKey},
};

/// The market is the same in every demo; the keys never are.
const MARKET_SEED: u64 = 2026;
/// Honest agents whom the operator trusts to begin with.
const SEEDS: [&str; 4] = ["atlas", "birch", "cedar", "delta"];
/// The cheat that wants to look better.
pub(super) const CHEAT: &str = "fastdata";
/// Reports of one request.
const BATCH: usize = 1000;

pub(super) struct Story<'a> {
    pub(super) app: &'a Arc<App>,
    pub(super) client: &'a Client,
    url: &'a str,
    data: &'a Path,
    /// Say nothing: the outcome is printed as JSON.
    pub(super) quiet: bool,
    /// The service ends with the story.
    leaves: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    url: String,
    data: PathBuf,
    agents: usize,
    trades: u64,
    reports: usize,
    epoch: epoch::Summary,
    /// What the marketplace says to the honest agent.
    accepted: Verdict,
    /// Codes of the refusals, by what was tried.
    refused: BTreeMap<&'static str, &'static str>,
    scores: Vec<Shown>,
    seconds: f64,
}

/// An agent's line in the table.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Shown {
    pub(super) name: &'static str,
    did: Did,
    truth: &'static str,
    reports: u64,
    mean_rating_bp: u64,
    lower_bp: u16,
    state: State,
}

/// Files that the commands at the end work with.
pub(super) struct Files {
    key: PathBuf,
    pub(super) bundle: PathBuf,
    pub(super) token: PathBuf,
    presentation: PathBuf,
    status: PathBuf,
}

/// Says something unless nobody is to be told.
macro_rules! tell {
    ($story:expr, $($arg:tt)*) => { if !$story.quiet { say!($($arg)*); } };
}
pub(super) use tell;

impl<'a> Story<'a> {
    pub(super) fn new(
        app: &'a Arc<App>,
        client: &'a Client,
        url: &'a str,
        data: &'a Path,
        quiet: bool,
        leaves: bool,
    ) -> Self {
        Self {
            app,
            client,
            url,
            data,
            quiet,
            leaves,
        }
    }

    pub(super) async fn tell(&self) -> anyhow::Result<Outcome> {
        let started = Instant::now();
        tell!(
            self,
            "Goodstanding: certificates of good standing for trading agents\n"
        );
        tell!(self, "1. A service");
        tell!(
            self,
            "   The real one, with an empty log, answers at {}.",
            self.url
        );
        tell!(
            self,
            "   Its database, keys and log are in {}\n",
            self.data.display()
        );
        let market = Market::generate(MARKET_SEED, self.app.clock.now_s());
        self.show_market(&market)?;
        let agents = Arc::new(derive_agents(&market)?);
        name_agents(self.app, agents.iter()).await?;
        self.submit(&market, agents.clone()).await?;
        let seeds = SEEDS.iter().filter_map(|name| agents.did(name)).collect();
        let entry = set_seeds(self.app, seeds).await?;
        tell!(self, "4. Trust has to begin somewhere");
        tell!(
            self,
            "   Anybody can invent a thousand agents that praise each other. So the operator names whom it"
        );
        tell!(
            self,
            "   trusts to begin with: {}. What others say counts as far as",
            SEEDS.join(", ")
        );
        tell!(
            self,
            "   trade leads from there to them. The choice is public, log entry {entry}: whoever disagrees",
        );
        tell!(self, "   can recompute every score with other roots.\n");
        let epoch = epoch::run(self.app, None).await?;
        self.app.log.publish().await?;
        let claims: BTreeMap<Did, Claims> = epoch::latest_statements(self.app.store.as_ref())
            .await?
            .into_iter()
            .collect();
        let scores = scores(&market, &agents, &claims);
        self.show_scores(&epoch, &scores)?;
        let hero = hero(&market, &scores)?;
        let files = self.files(&agents, hero.name)?;
        let (accepted, refused) = self.tokens(&agents, hero, &files).await?;
        self.show_next(&files, hero, &scores)?;
        Ok(Outcome {
            url: self.url.to_owned(),
            data: self.data.to_owned(),
            agents: market.agents.len(),
            trades: market.trades,
            reports: market.rows.len(),
            epoch,
            accepted,
            refused,
            scores,
            seconds: started.elapsed().as_secs_f64(),
        })
    }

    fn show_market(&self, market: &Market) -> anyhow::Result<()> {
        let count = |nature| market.agents.iter().filter(|a| a.nature == nature).count();
        tell!(self, "2. A market in miniature");
        tell!(
            self,
            "   {} agents, each with its own key, made {} trades in 20 days: {} purchases (from",
            market.agents.len(),
            market.trades,
            market.trades_of(TradeKind::Purchase)
        );
        tell!(
            self,
            "   0.0001 USDC each), {} services, {} compute auctions, {} halves of data swaps.",
            market.trades_of(TradeKind::Service),
            market.trades_of(TradeKind::ComputeAuction),
            market.trades_of(TradeKind::DataSwap)
        );
        tell!(
            self,
            "   {} deal honestly, {} take money and deliver little, {} are a ring: they trade with each other",
            count(Nature::Honest),
            count(Nature::Cheat),
            count(Nature::Ring)
        );
        tell!(
            self,
            "   alone and praise every trade. {} are new. The service is not told who is who.\n",
            count(Nature::New)
        );
        Ok(())
    }

    /// Signs every report and sends it over HTTP.
    async fn submit(&self, market: &Market, agents: Arc<Agents>) -> anyhow::Result<()> {
        let rows = market.rows.clone();
        let signed: Result<Vec<String>, Fault> =
            blocking(move || rows.par_iter().map(|row| agents.sign(row)).collect()).await?;
        let signed = signed?;
        let started = Instant::now();
        for batch in signed.chunks(BATCH) {
            for answer in self.client.submit_many(batch).await? {
                answer?;
            }
        }
        let took = started.elapsed().as_millis();
        let countersigned = market.rows.iter().filter(|row| row.countersigned).count();
        let mut sides: BTreeMap<&str, usize> = BTreeMap::new();
        for row in &market.rows {
            *sides.entry(&row.trade_id).or_default() += 1;
        }
        let matched: usize = sides.values().filter(|n| **n == 2).sum();
        tell!(self, "3. Signed reports");
        tell!(
            self,
            "   {} reports went in over HTTP in {took} ms. Each is signed by one party and about the other:",
            signed.len()
        );
        tell!(
            self,
            "   {matched} tell of a trade that both reported, {countersigned} carry the other side's signed terms, {} are",
            signed.len() - matched - countersigned
        );
        tell!(
            self,
            "   one party's word alone, which counts little. Every one is now a leaf of a Merkle log:"
        );
        tell!(
            self,
            "   nobody, the operator included, can change or drop one without it showing.\n"
        );
        Ok(())
    }

    fn show_scores(&self, epoch: &epoch::Summary, scores: &[Shown]) -> anyhow::Result<()> {
        tell!(self, "5. Scores");
        tell!(
            self,
            "   Epoch {}: all agents scored in {} ms, in whole numbers, so that anybody gets the same bytes",
            epoch.number,
            epoch.computed_in_ms
        );
        tell!(
            self,
            "   from the same log. The score of record is a lower bound: how good the agent is at least,"
        );
        tell!(self, "   as far as the evidence goes.\n");
        tell!(
            self,
            "   {:<12} {:<22} {:>8} {:>13} {:>12}  state",
            "agent",
            "really is",
            "reports",
            "mean rating",
            "lower bound"
        );
        for line in scores {
            let state = serde_json::to_value(line.state)?;
            tell!(
                self,
                "   {:<12} {:<22} {:>8} {:>13} {:>12}  {}",
                line.name,
                line.truth,
                line.reports,
                percent(line.mean_rating_bp),
                percent(line.lower_bp.into()),
                state.as_str().unwrap_or_default()
            );
        }
        tell!(
            self,
            "\n   A plain mean puts the ring on top: it rates itself. Its lower bound is what everybody starts with:"
        );
        tell!(
            self,
            "   its own praise adds nothing, because no trade of anybody trusted leads there. The cheats are rated by those"
        );
        tell!(
            self,
            "   they cheated. A newcomer is called unproven, not bad; whoever minds asks for `--require state=established`.\n"
        );
        Ok(())
    }

    fn files(&self, agents: &Agents, hero: &str) -> anyhow::Result<Files> {
        let dir = self.data.join("demo");
        std::fs::create_dir_all(&dir)?;
        let files = Files {
            key: dir.join("agent.json"),
            bundle: dir.join("trust-bundle.jwt"),
            token: dir.join("token.txt"),
            presentation: dir.join("presentation.txt"),
            status: dir.join("status-list.jwt"),
        };
        KeyFile::create(key_of(agents, hero)?, &files.key)?;
        Ok(files)
    }

    fn show_next(&self, files: &Files, hero: &Shown, scores: &[Shown]) -> anyhow::Result<()> {
        let program = quoted(&program());
        let path = |path: &Path| quoted(&path.to_string_lossy());
        let (url, data) = (self.url, path(self.data));
        let ring = scores
            .iter()
            .find(|line| line.truth == TRUTH_RING)
            .map_or(hero.did, |line| line.did);
        let nonce = "a-nonce-of-yours";
        if self.leaves {
            // What follows would ask a service that is gone.
            tell!(self, "Next, on what it leaves behind:");
            tell!(self, "   {program} scores --data {data}");
            tell!(self, "   {program} explain {CHEAT} --data {data}");
            return Ok(());
        }
        tell!(self, "Next, in another terminal:");
        tell!(
            self,
            "   # the agent of steps 6 and 7, a member of the ring, and the signed head of the log"
        );
        tell!(self, "   curl -s {url}/v1/agents/{}", hero.did);
        tell!(self, "   curl -s {url}/v1/agents/{ring}/explanation");
        tell!(self, "   curl -s {url}/checkpoint");
        tell!(
            self,
            "   # request a token, present it, verify it; the status list is fetched ahead of time, like the bundle"
        );
        tell!(
            self,
            "   {program} token request --agent {} --url {url} --out {}",
            path(&files.key),
            path(&files.token)
        );
        tell!(
            self,
            "   curl -s {url}/v1/status-lists/1 > {}",
            path(&files.status)
        );
        tell!(
            self,
            "   {program} token present {} --agent {} --aud {MARKETPLACE} --nonce {nonce} > {}",
            path(&files.token),
            path(&files.key),
            path(&files.presentation)
        );
        tell!(
            self,
            "   {program} token verify {} --trust {} --status {} --aud {MARKETPLACE} --nonce {nonce} --min-lower-bp {MIN_LOWER_BP}",
            path(&files.presentation),
            path(&files.bundle),
            path(&files.status)
        );
        tell!(
            self,
            "   # replay the whole log from outside: every signature, every tile, every score"
        );
        tell!(self, "   {program} audit {url}");
        tell!(self, "   # every score, also while the service runs");
        tell!(self, "   {program} scores --data {data}");
        tell!(self, "   # once the service is stopped");
        tell!(self, "   {program} explain {CHEAT} --data {data}");
        Ok(())
    }
}

const TRUTH_RING: &str = "in the ring";

fn derive_agents(market: &Market) -> anyhow::Result<Agents> {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice()).map_err(crate::keys::Error::Random)?;
    let seed = zeroize::Zeroizing::new(b64::url_encode(seed.as_slice()));
    Ok(Agents::derive(
        &seed,
        market
            .agents
            .iter()
            .map(|agent| agent.name.to_owned())
            .collect(),
    ))
}

pub(super) fn key_of<'k>(agents: &'k Agents, name: &str) -> Result<&'k SecretKey, Fault> {
    agents
        .key(name)
        .ok_or_else(|| Fault::new(Code::AgentUnknown, format!("{name} is not in the market")))
}

/// Some of each sort, best first.
fn scores(market: &Market, agents: &Agents, claims: &BTreeMap<Did, Claims>) -> Vec<Shown> {
    let mut table = Vec::new();
    for (nature, truth, most) in [
        (Nature::Honest, "honest", 5),
        (Nature::Cheat, "a cheat", 4),
        (Nature::Ring, TRUTH_RING, 4),
        (Nature::New, "honest, but new", 2),
    ] {
        let line = |agent: &Agent| {
            let did = agents.did(agent.name)?;
            let claims = claims.get(&did)?;
            Some(Shown {
                name: agent.name,
                did,
                truth: if SEEDS.contains(&agent.name) {
                    "honest, a trust root"
                } else {
                    truth
                },
                reports: claims.reports,
                mean_rating_bp: market.mean_rating_bp(agent.name),
                lower_bp: claims.lower_bp,
                state: claims.state,
            })
        };
        let mut lines: Vec<_> = market
            .agents
            .iter()
            .filter(|agent| agent.nature == nature)
            .filter_map(line)
            .collect();
        lines.sort_by_key(|line| (std::cmp::Reverse(line.lower_bp), line.name));
        table.extend(lines.into_iter().take(most));
    }
    table
}

/// The best honest agent that nobody vouched for beforehand.
fn hero<'s>(market: &Market, scores: &'s [Shown]) -> Result<&'s Shown, Fault> {
    let is_honest = |name| {
        market
            .agents
            .iter()
            .any(|agent| agent.name == name && agent.nature == Nature::Honest)
    };
    let found = scores
        .iter()
        .find(|line| is_honest(line.name) && !SEEDS.contains(&line.name));
    found.ok_or_else(|| Fault::new(Code::AgentUnknown, "no honest agent in the epoch"))
}
