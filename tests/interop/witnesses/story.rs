//! From trades to a verified token with two of three foreign witnesses, and what strangers say of the cosignatures.

use goodstanding_verify::{b64, proof::TlogProof};
use serde_json::Value;

use super::{
    foreign::ForeignWitness,
    watched::{ISSUER, ORIGIN, Watched, directory, goodstanding, log_vkey, read_policy, two_of},
};
use crate::{
    cases::{cosigned, proven},
    judge,
    published::entries,
};

const CSV: &str = "\
time,trade_id,market,kind,reporter,subject,role,amount,currency,units,resource,status,quality_bp,on_time,claimed_quality_bp,swap_id,auction_id,auction_format,reserve,task_class,utilisation_bp,bids,level
1790000000,t1,query,purchase,alice,bob,buyer,0.0001,USDC,1,query,fulfilled,9400,true,,,,,,,,,countersigned
1790000100,t2,query,service,alice,bob,buyer,12.5,USD,,,fulfilled,9200,true,,,,,,,,,
1790000100,t2,query,service,bob,alice,seller,12.5,USD,,,fulfilled,10000,,9300,,,,,,,,
1790000200,t3,gpu,purchase,carol,bob,buyer,2,CREDIT,,gpu,fulfilled,9000,true,,,,,,,,,countersigned
";

#[tokio::test(flavor = "multi_thread")]
async fn two_of_three_foreign_witnesses_stand_behind_a_token() {
    let log = log_vkey();
    let [a, b, mut c] = ["a", "b", "c"].map(|name| ForeignWitness::start(name, &log));
    let policy = two_of(&[a.policy_line("a"), b.policy_line("b"), c.policy_line("c")]);
    c.kill();
    let data = directory(&policy, "");
    let file = |name: &str| data.path().join(name).to_str().unwrap().to_owned();
    let run = |args: &[&str]| goodstanding(data.path(), args);
    std::fs::write(file("trades.csv"), CSV).unwrap();
    // Every command that publishes asks the witnesses.
    run(&[
        "import",
        &file("trades.csv"),
        "--historical",
        "--key-seed",
        "s",
        "--issuer",
        ISSUER,
        "--origin",
        ORIGIN,
    ]);
    run(&["policy", "set", "--seeds", "alice,carol"]);
    run(&["epoch"]);
    run(&[
        "token",
        "request",
        "--alias",
        "bob",
        "--out",
        &file("token"),
    ]);
    run(&["trust-bundle", "--out", &file("bundle")]);
    let shop = ["--aud", "shop", "--nonce", "n1"];
    let mut present = vec![
        "token",
        "present",
        "TOKEN",
        "--alias",
        "bob",
        "--key-seed",
        "s",
    ];
    let token = file("token");
    present[2] = &token;
    present.extend(shop);
    std::fs::write(file("shown"), run(&present)).unwrap();
    let (shown, bundle) = (file("shown"), file("bundle"));
    let mut verify = vec!["token", "verify", &shown, "--trust", &bundle];
    verify.extend(shop);
    let said = run(&verify);
    assert!(
        said.lines().any(|line| line == "witnesses: 2 of 3"),
        "{said}"
    );

    // Whoever wants all three is not content with two.
    let strict = file("strict");
    let all = policy.replace("group two 2", "group two all");
    std::fs::write(&strict, format!("log {log}\n{all}")).unwrap();
    verify.extend(["--witness-policy", &strict]);
    let refused = std::process::Command::new(env!("CARGO_BIN_EXE_goodstanding"))
        .args(&verify)
        .output()
        .unwrap();
    let why = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(3), "{why}");
    assert!(why.contains("[checkpoint.quorum_missed]"), "{why}");

    // The checkpoint, a receipt and the token's anchor, as strangers see them.
    let service = Watched::serve(data.path());
    let checkpoint = service.get("/checkpoint").await;
    let parsed = read_policy(&policy);
    let (size, signed) = service.checkpoint().await;
    assert_eq!(parsed.evaluate(&signed).unwrap().witnesses.len(), 2);
    let entries = entries(&service.server.url, size).await;
    let reports = service.get("/v1/reports?limit=1").await;
    let reports: Value = serde_json::from_str(&reports).unwrap();
    let report = &reports["items"][0];
    let id = report["report_id"].as_str().or(report["id"].as_str());
    let receipt = service
        .get(&format!("/v1/reports/{}/receipt", id.unwrap()))
        .await;
    let presented = std::fs::read_to_string(&shown).unwrap();
    let payload = presented.split('.').nth(1).unwrap();
    let payload: Value = serde_json::from_slice(&b64::url_decode(payload).unwrap()).unwrap();
    let anchor = payload["anchor"]["proof"].as_str().unwrap().to_owned();
    let mut cases = Vec::new();
    for (name, text) in [("receipt", &receipt), ("anchor of a token", &anchor)] {
        let proof = TlogProof::parse(text).unwrap();
        let entry = &entries[usize::try_from(proof.index).unwrap()];
        assert_eq!(
            proof.verify(entry, &parsed).unwrap().quorum.witnesses.len(),
            2
        );
        cases.push(proven(name, &log, text, entry));
    }
    cases.extend(cosigned(&log, &checkpoint, [&a.vkey, &b.vkey, &c.vkey]));
    tokio::task::spawn_blocking(move || {
        for judge in judge::all() {
            let (accepted, _) = judge.check(&cases);
            assert!(accepted >= 2, "{} saw little", judge.name);
        }
    })
    .await
    .unwrap();
}
