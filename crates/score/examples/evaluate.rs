//! Scores an import CSV without a service: `zcat reports.csv.gz | evaluate --policy rating-network --seeds @seeds.txt`.
//!
//! Writes the scores CSV to standard output. Reports are built straight from the rows, unsigned, so this shows what the
//! scoring function does and nothing else. `--set name=value` changes one constant of the policy's `scoring`;
//! `--threads N`, `--as-of T` and `--explain ALIAS` do what they say; `--roots` shows digests of everything instead; timings go to standard error.
//! For experiments: what is published is computed by `goodstanding import`, `epoch` and `scores`.

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    io::{BufRead, BufWriter, Write},
    time::Instant,
};

use goodstanding_score::{
    Scores,
    evidence::{Admitted, Evidence},
    explain,
    policy::Policy,
    score,
};
use goodstanding_verify::{
    amount::Amount,
    claims::State,
    did::Did,
    digest::{Digest, sha256},
    frontier::Frontier,
    report::{
        Evidence as Document, Outcome, Report, ReportId, Role, Status, Terms, Trade, TradeKind,
    },
    statement::{self, Statement},
};
use serde_json::Value;

type Res<T> = Result<T, Box<dyn Error>>;

const SUSPICIONS: &[&str] = &[
    "sybil_ring",
    "reciprocal_boost",
    "wash_cycle",
    "slander",
    "on_off",
    "whitewash",
    "quality_lie",
    "micro_farm",
    "price_fixing",
    "bidding_war",
    "shill_bidding",
    "closed_loop",
    "reputation_hoarding",
];

fn main() -> Res<()> {
    let options = Options::read()?;
    let start = Instant::now();
    let mut agents = Agents::default();
    let rows = match &options.file {
        Some(path) => read(
            std::io::BufReader::new(std::fs::File::open(path)?),
            &mut agents,
        )?,
        None => read(std::io::stdin().lock(), &mut agents)?,
    };
    let policy = options.policy(&mut agents)?;
    let as_of = options
        .as_of
        .or_else(|| rows.iter().map(|r| r.at_ms / 1000).max())
        .unwrap_or(0);
    eprintln!("read {} reports in {:?}", rows.len(), start.elapsed());
    let start = Instant::now();
    let evidence = Evidence::build(&rows, &policy);
    eprintln!(
        "evidence of {} agents, {:?}, in {:?}",
        evidence.agents.len(),
        evidence.levels(),
        start.elapsed()
    );
    let start = Instant::now();
    let scores = score(&evidence, &policy, as_of, options.threads)?;
    eprintln!("scored in {:?}", start.elapsed());
    if options.roots {
        return roots(&evidence, &policy, &scores);
    }
    if let Some(alias) = &options.explain {
        let did = agents.did(alias)?;
        let explanation =
            explain(&evidence, &policy, &scores, &did).ok_or("not an agent of the evidence")?;
        println!("{}", serde_json::to_string_pretty(&explanation)?);
        return Ok(());
    }

    let mut out = BufWriter::new(std::io::stdout().lock());
    write!(
        out,
        "agent,alias,score_bp,lower_bp,lifetime_lower_bp,recent_lower_bp,uncertainty_bp,state,reports,counterparties,"
    )?;
    write!(
        out,
        "effective_counterparties_milli,evidence_milli,dampening_bp,flags"
    )?;
    for kind in SUSPICIONS {
        write!(out, ",suspicion_{kind}")?;
    }
    writeln!(out)?;
    let zeros = ",0".repeat(SUSPICIONS.len());
    for s in &scores.all(&evidence, &policy) {
        let c = &s.claims;
        let state = match c.state {
            State::Unproven => "unproven",
            State::Established => "established",
            State::Contested => "contested",
        };
        let alias = agents.aliases.get(&s.agent).map_or("", String::as_str);
        write!(
            out,
            "{},{alias},{},{},{},{},",
            s.agent, c.score_bp, c.lower_bp, c.lifetime_lower_bp, c.recent_lower_bp
        )?;
        write!(
            out,
            "{},{state},{},{},",
            c.uncertainty_bp, c.reports, c.counterparties
        )?;
        writeln!(
            out,
            "{},{},{},{}{zeros}",
            c.effective_counterparties_milli,
            c.evidence_milli,
            c.dampening_bp,
            c.flags.join("|")
        )?;
    }
    Ok(out.flush()?)
}

/// What two implementations of one function have to agree on: the root of the score tree under a salt key of zeros, and a digest
/// of all explanations.
fn roots(evidence: &Evidence, policy: &Policy, scores: &Scores) -> Res<()> {
    let (mut tree, mut explanations) = (Frontier::default(), String::new());
    for s in &scores.all(evidence, policy) {
        let disclosures = statement::disclosures(&s.claims, &[0; 32], &s.agent)?;
        let digests = disclosures.iter().map(|d| d.digest);
        tree.push(Statement::new(s.agent, 1, digests)?.leaf_hash());
        let explained = explain(evidence, policy, scores, &s.agent);
        explanations.push_str(&serde_json::to_string(&explained)?);
    }
    println!("score root {}", Digest(tree.root()));
    println!("explanations {}", sha256(explanations.as_bytes()));
    Ok(())
}

/// Command line.
#[derive(Default)]
struct Options {
    roots: bool,
    file: Option<String>,
    policy: Option<String>,
    seeds: Option<String>,
    set: Vec<(String, u64)>,
    threads: Option<usize>,
    as_of: Option<u64>,
    explain: Option<String>,
}

impl Options {
    fn read() -> Res<Self> {
        let mut out = Self::default();
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--policy" => out.policy = Some(value()?),
                "--seeds" => out.seeds = Some(value()?),
                "--threads" => out.threads = Some(value()?.parse()?),
                "--as-of" => out.as_of = Some(value()?.parse()?),
                "--explain" => out.explain = Some(value()?),
                "--roots" => out.roots = true,
                "--set" => {
                    let text = value()?;
                    let (name, number) = text.split_once('=').ok_or("--set name=value")?;
                    out.set.push((name.to_owned(), number.parse()?));
                }
                _ if arg.starts_with('-') => return Err(format!("unknown option {arg}").into()),
                _ => out.file = Some(arg),
            }
        }
        Ok(out)
    }

    fn policy(&self, agents: &mut Agents) -> Res<Policy> {
        let mut value =
            Policy::preset(self.policy.as_deref().unwrap_or("agent-market"))?.to_value();
        for (name, number) in &self.set {
            value["scoring"][name] = Value::from(*number);
        }
        let seeds = self.seeds.clone().ok_or("--seeds a,b or --seeds @FILE")?;
        let seeds = match seeds.strip_prefix('@') {
            Some(path) => std::fs::read_to_string(path)?,
            None => seeds,
        };
        let mut dids = seeds
            .trim()
            .split(',')
            .map(|alias| agents.did(alias.trim()))
            .collect::<Res<Vec<Did>>>()?;
        dids.sort_unstable();
        dids.dedup();
        value["seeds"] = dids.iter().map(Did::to_string).collect();
        Ok(Policy::parse(&value)?)
    }
}

/// Aliases and the made-up keys that stand for them.
#[derive(Default)]
struct Agents {
    dids: HashMap<String, Did>,
    aliases: BTreeMap<Did, String>,
}

impl Agents {
    /// A point that the alias determines: the first of a chain of hashes that is a usable key.
    fn did(&mut self, alias: &str) -> Res<Did> {
        if let Some(did) = self.dids.get(alias) {
            return Ok(*did);
        }
        let mut hash = sha256(alias.as_bytes());
        for _ in 0..1000 {
            if let Ok(did) = Did::from_key_bytes(&hash.0) {
                self.dids.insert(alias.to_owned(), did);
                self.aliases.insert(did, alias.to_owned());
                return Ok(did);
            }
            hash = sha256(&hash.0);
        }
        Err("no usable key".into())
    }
}

fn read(input: impl BufRead, agents: &mut Agents) -> Res<Vec<Admitted>> {
    let mut lines = input.lines();
    let header = lines.next().ok_or("empty input")??;
    let columns: HashMap<String, usize> = header
        .split(',')
        .enumerate()
        .map(|(i, name)| (name.to_owned(), i))
        .collect();
    let mut out = Vec::new();
    for (index, line) in (0_u64..).zip(lines) {
        let line = line?;
        let cells: Vec<&str> = line.split(',').collect();
        let cell = |name: &str| {
            columns
                .get(name)
                .and_then(|i| cells.get(*i))
                .copied()
                .unwrap_or("")
        };
        let optional = |name: &str| Some(cell(name)).filter(|text| !text.is_empty());
        let time: u64 = cell("time").parse()?;
        let evidence = if cell("level") == "countersigned" {
            vec![Document::Terms(Terms {
                iat: time,
                exp: time,
                promise: None,
                sha256: sha256(line.as_bytes()),
            })]
        } else {
            Vec::new()
        };
        let report = Report {
            id: ReportId(sha256(format!("{index}\0{line}").as_bytes()).0),
            iss: agents.did(cell("reporter"))?,
            sub: agents.did(cell("subject"))?,
            jti: format!("row-{index:08}"),
            iat: time,
            supersedes: None,
            trade: Trade {
                id: cell("trade_id").to_owned(),
                market: cell("market").to_owned(),
                kind: match cell("kind") {
                    "data_swap" => TradeKind::DataSwap,
                    "purchase" => TradeKind::Purchase,
                    "compute_auction" => TradeKind::ComputeAuction,
                    "service" => TradeKind::Service,
                    other => return Err(format!("unknown kind {other:?}").into()),
                },
                role: if cell("role") == "seller" {
                    Role::Seller
                } else {
                    Role::Buyer
                },
                amount: Amount::parse(cell("amount")).map_err(|e| format!("row {index}: {e:?}"))?,
                currency: cell("currency").to_owned(),
                closed_at: time,
                resource: optional("resource").map(str::to_owned),
                units: None,
                swap_id: optional("swap_id").map(str::to_owned),
                parent: None,
                negotiation: None,
                auction: None,
                settlement: None,
            },
            outcome: Outcome {
                status: match cell("status") {
                    "fulfilled" => Status::Fulfilled,
                    "partial" => Status::Partial,
                    "failed" => Status::Failed,
                    "disputed" => Status::Disputed,
                    "cancelled" => Status::Cancelled,
                    other => return Err(format!("unknown status {other:?}").into()),
                },
                quality_bp: optional("quality_bp").map(str::parse).transpose()?,
                on_time: optional("on_time").map(str::parse).transpose()?,
                claimed_quality_bp: optional("claimed_quality_bp").map(str::parse).transpose()?,
            },
            evidence,
        };
        out.push(Admitted {
            index,
            at_ms: time * 1000,
            historical: true,
            report,
        });
    }
    Ok(out)
}
