//! Processes that are all well.

use super::{
    fleet::Fleet,
    ledger::{Ledger, checkpoint, fresh, hold, post},
};

#[tokio::test]
async fn any_process_takes_reports_and_answers_for_those_of_the_others() {
    let fleet = Fleet::start(&["all", "all", "api"]).await;
    let ledger = Ledger::default();
    let mut senders = tokio::task::JoinSet::new();
    for process in &fleet.processes {
        for _ in 0..4 {
            let (client, url, ledger) = (fleet.client.clone(), process.url.clone(), ledger.clone());
            senders.spawn(async move {
                for _ in 0..10 {
                    let answer = post(&client, &url, &fresh()).await.unwrap();
                    assert!(answer["receipt"].is_string(), "{answer}");
                    ledger.note(&answer);
                }
            });
        }
    }
    while let Some(sent) = senders.join_next().await {
        sent.unwrap();
    }
    assert_eq!(ledger.len(), 120);
    assert_eq!(fleet.leaders().await.len(), 1);
    for n in 0..3 {
        hold(&fleet, n, &ledger).await;
        // Whoever is asked has the receipt, and knows the report.
        let told = &ledger.all()[n * 7];
        let url = &fleet.processes[(n + 1) % 3].url;
        let shown: serde_json::Value = fleet
            .client
            .get(format!("{url}/v1/reports/{}", told.id))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert_eq!(shown["leaf_index"], told.index, "{shown}");
    }
    let key = fleet.key(2).await;
    assert_eq!(
        checkpoint(&fleet, 0, &key).await,
        checkpoint(&fleet, 2, &key).await
    );
    // The same bytes again, at another process: known.
    let jws = fresh();
    let first = post(&fleet.client, &fleet.processes[0].url, &jws)
        .await
        .unwrap();
    let again = post(&fleet.client, &fleet.processes[2].url, &jws)
        .await
        .unwrap();
    assert_eq!(first["leaf_index"], again["leaf_index"]);
}

#[tokio::test]
async fn a_refusal_is_the_same_wherever_it_is_asked_for() {
    let fleet = Fleet::start(&["all", "api"]).await;
    let one = fresh();
    for process in &fleet.processes {
        post(&fleet.client, &process.url, &one).await.unwrap();
    }
    // Another report on the same trade.
    let time = super::ledger::now_s() - 60;
    let (buyer, seller) = (crate::support::agent(70), crate::support::agent(71));
    let mut payload = crate::support::payload(&buyer, &seller, "one-trade", time);
    let first = crate::support::sign(&buyer, &payload);
    post(&fleet.client, &fleet.processes[1].url, &first)
        .await
        .unwrap();
    payload["jti"] = "another-jti".into();
    let second = crate::support::sign(&buyer, &payload);
    let mut refusals = Vec::new();
    for process in &fleet.processes {
        refusals.push(
            post(&fleet.client, &process.url, &second)
                .await
                .unwrap_err(),
        );
    }
    assert!(
        refusals[0].contains("report.trade_already_reported"),
        "{refusals:?}"
    );
    let code = |text: &str| text.contains("409");
    assert!(refusals.iter().all(|text| code(text)), "{refusals:?}");
}
