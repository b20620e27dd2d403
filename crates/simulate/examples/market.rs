//! Writes a market to a directory: `market OUT [agents] [trades] [seed] [habits] [attack…]`.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
};

use goodstanding_simulate::{Attack, Habits, Market, Parameters, write_labels};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let at = |i: usize, or: &str| args.get(i).cloned().unwrap_or_else(|| or.to_owned());
    let out = std::path::PathBuf::from(at(0, "market"));
    let seed = at(3, "1").parse()?;
    let mut attacks = Vec::new();
    for text in args.get(5..).unwrap_or_default() {
        attacks.extend(Attack::parse(text)?);
    }
    let market = Market::new(Parameters {
        agents: at(1, "2000").parse()?,
        trades: at(2, "100000").parse()?,
        seed,
        habits: Habits::named(&at(4, "step-multiplicative"), seed)?,
        attacks,
        ..Parameters::default()
    })?;
    std::fs::create_dir_all(&out)?;
    let mut reports = flate2::write::GzEncoder::new(
        BufWriter::new(File::create(out.join("reports.csv.gz"))?),
        flate2::Compression::new(6),
    );
    let told = market.write_reports(&mut reports)?;
    reports.finish()?.flush()?;
    write_labels(
        &told.labels,
        &mut BufWriter::new(File::create(out.join("labels.csv"))?),
    )?;
    std::fs::write(out.join("seeds.txt"), market.seeds().join(","))?;
    market.write_parameters(&mut File::create(out.join("market.json"))?)?;
    Ok(())
}
