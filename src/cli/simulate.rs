//! `simulate`: a market in miniature, to files.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
    time::Instant,
};

use flate2::{Compression, write::GzEncoder};
use goodstanding_simulate::{Attack, Habits, Market, Parameters, write_labels};
use serde_json::json;

use super::{
    Ctx, input,
    output::{self, count, say, unwritable},
};
use crate::code::{Code, Fault};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Agents of the honest world, 300 to 100000; attackers' further identities come on top
    #[arg(long, value_name = "N", default_value_t = 2000)]
    agents: usize,
    /// Trades of the honest world; attacks come on top [default: 50 an agent]
    #[arg(long, value_name = "M")]
    trades: Option<u64>,
    /// all, none, or KIND[:size=..,groups=..,intensity=..,camouflage=..,…]; several, and more than once
    #[arg(long, value_name = "KIND", num_args = 1.., default_value = "none")]
    attack: Vec<String>,
    /// A family of habits, `random` (drawn from the seed), or a TOML file
    #[arg(
        long,
        value_name = "NAME|FILE.toml",
        default_value = "step-multiplicative"
    )]
    habits: String,
    /// What all chance is drawn from: the same seed and options, the same bytes
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// When the market ends, Unix seconds [default: the end of June 2026]
    #[arg(long, value_name = "T")]
    end: Option<u64>,
    /// A directory that is new or empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(super) fn run(ctx: &Ctx, args: &Args) -> anyhow::Result<()> {
    let started = Instant::now();
    let market = Market::new(parameters(args)?).map_err(Fault::from)?;
    make_empty(&args.out)?;
    let written = write(&market, &args.out)?;
    let seconds = started.elapsed().as_secs_f64();
    if ctx.json {
        return output::json(&json!({
            "out": args.out, "agents": written.agents, "attackers": written.attackers, "reports": written.reports,
            "seeds": market.seeds(),
        }));
    }
    say!(
        "{} of {}, {} of them dishonest, in {seconds:.1} s",
        count(written.reports, "report"),
        count(written.agents, "agent"),
        written.attackers
    );
    let dir = args.out.display();
    say!("{dir}/reports.csv.gz   what `import --historical` reads");
    say!("{dir}/labels.csv       what every agent really is");
    say!("{dir}/seeds.txt        trust roots: `policy set --seeds @{dir}/seeds.txt`");
    say!("{dir}/market.json      the parameters that make it again");
    Ok(())
}

fn parameters(args: &Args) -> Result<Parameters, Fault> {
    let mut attacks = Vec::new();
    for text in &args.attack {
        attacks.extend(Attack::parse(text)?);
    }
    let is_file = Path::new(&args.habits)
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("toml"));
    let habits = if is_file {
        Habits::parse(&input::text(&args.habits)?)?
    } else {
        Habits::named(&args.habits, args.seed)?
    };
    let usual = u64::try_from(args.agents).unwrap_or(u64::MAX);
    Ok(Parameters {
        agents: args.agents,
        trades: args.trades.unwrap_or(usual.saturating_mul(50)),
        seed: args.seed,
        end: args.end.unwrap_or(Parameters::default().end),
        habits,
        attacks,
    })
}

/// Nothing is overwritten: a market that somebody evaluates stays what it is.
fn make_empty(dir: &Path) -> Result<(), Fault> {
    fs::create_dir_all(dir).map_err(|e| unwritable(dir.display(), &e))?;
    let mut inside = fs::read_dir(dir).map_err(|e| output::unreadable(dir.display(), &e))?;
    match inside.next() {
        None => Ok(()),
        Some(_) => Err(Fault::new(Code::DataNotEmpty, dir.display().to_string())),
    }
}

/// What was written.
struct Written {
    agents: usize,
    attackers: usize,
    reports: u64,
}

/// Writes the four files, the parameters last: where they are, the others are whole.
fn write(market: &Market, dir: &Path) -> Result<Written, Fault> {
    let labels = to_file(&dir.join("reports.csv.gz"), |out| {
        let mut packed = GzEncoder::new(out, Compression::new(5));
        let labels = market.write_reports(&mut packed)?;
        packed.finish()?;
        Ok(labels)
    })?;
    to_file(&dir.join("labels.csv"), |out| {
        write_labels(&labels.labels, out)
    })?;
    to_file(&dir.join("seeds.txt"), |out| {
        out.write_all(market.seeds().join(",").as_bytes())
    })?;
    to_file(&dir.join("market.json"), |out| market.write_parameters(out))?;
    Ok(Written {
        agents: labels.labels.len(),
        attackers: labels
            .labels
            .iter()
            .filter(|l| l.attack != "honest")
            .count(),
        reports: labels.reports,
    })
}

fn to_file<T>(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<T>,
) -> Result<T, Fault> {
    let written = File::create(path).and_then(|file| {
        let mut out = BufWriter::with_capacity(1 << 16, file);
        let filled = fill(&mut out)?;
        out.flush()?;
        Ok(filled)
    });
    written.map_err(|e| unwritable(path.display(), &e))
}
