//! The demo, and the commands that it leaves the reader with.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use crate::support::{Dir, Ran, command, run};

#[test]
fn the_story_ends_well() {
    let dir = Dir::new();
    let outcome = run(["demo", "--exit", "--json", "--data", &dir.file("data")]).json();
    assert_eq!(outcome["accepted"]["holder"], "proven");
    assert_eq!(outcome["accepted"]["status"], "valid");
    assert_eq!(outcome["refused"]["tampered"], "disclosure.unmatched");
    assert_eq!(
        outcome["refused"]["low_score"],
        "claims.lower_bound_too_low"
    );
    assert_eq!(outcome["refused"]["stolen"], "holder.signature_invalid");
    // The ring has better ratings than the honest, and worse scores.
    let of = |truth: &str| {
        outcome["scores"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|s| s["truth"] == truth)
            .cloned()
            .collect::<Vec<_>>()
    };
    let best = |lines: &[serde_json::Value], what: &str| {
        lines.iter().filter_map(|l| l[what].as_u64()).max().unwrap()
    };
    let worst = |lines: &[serde_json::Value], what: &str| {
        lines.iter().filter_map(|l| l[what].as_u64()).min().unwrap()
    };
    let (honest, cheats, ring) = (of("honest"), of("a cheat"), of("in the ring"));
    assert!(best(&ring, "lower_bp") < worst(&honest, "lower_bp"));
    assert!(best(&cheats, "lower_bp") < worst(&honest, "lower_bp"));
    assert!(best(&ring, "mean_rating_bp") > worst(&honest, "mean_rating_bp"));
    run(["demo", "--exit", "--data", &dir.file("data")]).usage();
    // The data outlives the story.
    let csv = run(["scores", "--data", &dir.file("data")]).ok();
    assert_eq!(csv.lines().count(), 1 + 40);
}

/// Ends the service whatever happens to the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_commands_it_prints_work_as_they_stand() {
    let dir = Dir::new();
    let data = dir.file("data");
    let mut child = command(["demo", "--data", &data])
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let mut running = Running(child);
    let told: Vec<String> = lines
        .by_ref()
        .take_while(|line| !line.contains("keeps running"))
        .collect();
    let next: Vec<&String> = told
        .iter()
        .skip_while(|line| !line.starts_with("Next"))
        .collect();
    let program = env!("CARGO_BIN_EXE_goodstanding");
    let sh = |line: &str| {
        Ran::of(
            Command::new("sh")
                .args(["-c", line])
                .env_clear()
                .env("PATH", "/usr/bin:/bin")
                .output()
                .unwrap(),
        )
    };
    // Every command it prints for while the service runs, in its order.
    let commands: Vec<_> = next
        .iter()
        .map(|l| l.trim())
        .filter(|l| l.starts_with(program) || l.starts_with("curl "))
        .filter(|l| !l.contains(" explain "))
        .collect();
    assert_eq!(commands.len(), 9, "{next:?}");
    let said: Vec<String> = commands.iter().map(|line| sh(line).ok()).collect();
    let verified = commands.iter().position(|l| l.contains(" token verify "));
    let verdict = &said[verified.unwrap()];
    assert!(verdict.contains("holder: proven"), "{verdict}");
    assert!(verdict.contains("status: valid"), "{verdict}");
    let url = next
        .iter()
        .find_map(|l| l.split_once("curl -s ").map(|(_, url)| url))
        .unwrap();
    assert!(
        url.starts_with("http://127.0.0.1:") && url.contains("/v1/agents/did:key:"),
        "{url}"
    );
    // The directory is the service's as long as it runs.
    // Reading works beside the service, writing does not.
    assert!(
        run(["scores", "--data", &data])
            .ok()
            .contains(",established,")
    );
    run(["policy", "show", "--data", &data]).ok();
    let grant = ["access", "grant", "--role", "operator", "--data", &data];
    assert_eq!(run(grant).ok().trim().split('.').count(), 3);
    run(["epoch", "--data", &data]).fails(1, "data.locked");

    // A reader signs a report of its own, sends it, keeps the receipt; and the trust bundle is kept current.
    let base = &url[..url.find("/v1").unwrap()];
    let key = dir.file("me.json");
    run(["keygen", "--out", &key]).ok();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let subject = url.rsplit('/').next().unwrap();
    let report = |id: u32, closed_at: u64| {
        serde_json::json!({
            "sub": subject,
            "trade": {"id": format!("mine-{id}"), "market": "m", "kind": "purchase", "role": "buyer", "amount": "0.0001",
                "currency": "USDC", "closed_at": closed_at},
            "outcome": {"status": "failed"}, "iat": now,
        })
        .to_string()
    };
    let sign =
        |payload: &str| crate::support::run_with(["sign", "-", "--agent", &key], payload).ok();
    let one = dir.write("one.jws", sign(&report(1, now)));
    let receipt = dir.file("receipt");
    run(["submit", &one, "--url", base, "--receipt", &receipt]).ok();
    assert!(
        dir.read("receipt").starts_with("c2sp.org/tlog-proof@v1"),
        "{}",
        dir.read("receipt")
    );
    let many = dir.write(
        "many.jws",
        format!(
            "{}{}{}",
            sign(&report(1, now)),
            sign(&report(2, now)),
            sign(&report(3, now - 40 * 86_400))
        ),
    );
    let ran = run(["submit", &many, "--url", base, "--json"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let results: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(results["refused"], 2, "{results}");
    assert_eq!(
        results["results"][0]["code"],
        "report.trade_already_reported"
    );
    assert_eq!(results["results"][2]["code"], "report.too_old");
    let bundle = dir.file("data/demo/trust-bundle.jwt");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    run(["trust", "update", "--trust", &bundle, "--url", base]).ok();
    let import = dir.csv(
        "live.csv",
        &[&format!(
            "{now},live-1,m,purchase,u1,u2,buyer,1,USD,,,fulfilled,9000,,,,,,,,,,countersigned"
        )],
    );
    for (new, there) in [(1, 0), (0, 1)] {
        let summary = run([
            "import",
            &import,
            "--key-seed",
            "s",
            "--url",
            base,
            "--json",
        ])
        .json();
        assert_eq!(
            (&summary["new"], &summary["already_there"]),
            (&new.into(), &there.into())
        );
        std::thread::sleep(std::time::Duration::from_millis(1100));
    }

    // Asked to stop, it stops.
    let id = running.0.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
    run(["explain", "fastdata", "--data", &data]).ok();
}
