//! docs/SIMULATE.md says what the tables of the code say. `UPDATE_SIMULATE=1` writes them there.

use std::{fmt::Write as _, fs, path::Path};

use goodstanding_simulate::{Attack, AttackKind, FAMILIES, Habits};

fn families() -> String {
    let mut text = String::from("| family | |\n|---|---|\n");
    for family in FAMILIES {
        writeln!(text, "| `{}` | {} |", family.name, family.summary).unwrap();
    }
    text
}

fn habits() -> String {
    let mut text = String::from(
        "| parameter | default | range | unit | meaning | `random` |\n|---|---|---|---|---|---|\n",
    );
    for p in Habits::PARAMETERS {
        let (low, high) = p.random;
        writeln!(
            text,
            "| `{}` | {} | {} to {} | {} | {} | {low} to {high} |",
            p.name, p.default, p.low, p.high, p.unit, p.meaning
        )
        .unwrap();
    }
    text
}

fn kinds() -> String {
    let mut text = String::from(
        "| kind | in `labels.csv` | what they do | size | groups in 2,000 agents | camouflage | spread |\n|---|---|---|---|---|---|---|\n",
    );
    for kind in AttackKind::ALL {
        let usual = Attack::usual(*kind);
        let groups = usual.usual_groups(2000);
        writeln!(
            text,
            "| `{kind}` | `{}` | {} | {} | {groups} | {} | {} |",
            kind.label(),
            kind.summary(),
            usual.size,
            usual.camouflage,
            usual.spread
        )
        .unwrap();
    }
    text
}

fn attack() -> String {
    let mut text = String::from("| parameter | range | unit | meaning |\n|---|---|---|---|\n");
    for (name, low, high, unit, meaning) in Attack::PARAMETERS {
        writeln!(text, "| `{name}` | {low} to {high} | {unit} | {meaning} |").unwrap();
    }
    text
}

#[test]
fn the_document_has_the_tables_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/SIMULATE.md");
    let have = fs::read_to_string(&path).unwrap();
    let mut want = have.clone();
    for (name, table) in [
        ("families", families()),
        ("habits", habits()),
        ("kinds", kinds()),
        ("attack", attack()),
    ] {
        let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
        let (before, rest) = want.split_once(&open).unwrap();
        let (_, after) = rest.split_once(&close).unwrap();
        want = format!("{before}{open}{table}{close}{after}");
    }
    if std::env::var_os("UPDATE_SIMULATE").is_some() {
        fs::write(&path, want).unwrap();
    } else {
        assert!(
            have == want,
            "docs/SIMULATE.md is not up to date: run with UPDATE_SIMULATE=1"
        );
    }
}
