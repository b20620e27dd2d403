//! The matrix of faults for the mark that says which database ran here last: whatever fails while a directory is opened and
//! closed, the database that ran goes on, and an older copy of it does not.

use goodstanding::{app::App, ingest};

use super::{
    changes::{NOW, Totals, base, each, plans},
    check::{Acknowledged, Known, full_check_from},
    double::{Faults, Mode, Step},
    grow::{at, copy, fresh, grow, opened},
};

/// Steps of opening a directory; the mark is made before and after the name.
const OPENING: [Step; 2] = [Step::Mark, Step::Name];

#[test]
fn every_step_of_a_tenure_fails_and_no_older_copy_gets_in() {
    let started = std::time::Instant::now();
    let (base, known) = base(254);
    let mut cases = Vec::new();
    for start in 255..=257 {
        // Faults of opening in a row; and whether closing fails.
        for opening in plans(&OPENING, true) {
            for closing in [None, Some(Mode::Fails), Some(Mode::Persists)] {
                cases.push((start, opening.clone(), closing));
            }
        }
    }
    let totals = Totals::default();
    each(cases, async |(start, opening, closing)| {
        let room = tempfile::tempdir().unwrap();
        let data = room.path().join("data");
        copy(base.path(), &data);
        grow(&data, start).await;
        let older = room.path().join("older");
        copy(&data, &older);
        let at_case = format!("{start} {opening:?} {closing:?}");
        let faults = Faults::default();
        for (step, mode) in &opening {
            faults.script().plan(*step, *mode);
        }
        let mut checks = 0;
        let app = loop {
            let opened = opened(async || {
                App::open_through(at(&data, NOW), |parts| faults.through(parts)).await
            })
            .await;
            checks += 1;
            full_check_from(&data, &mut Known::of(&known)).await;
            match opened {
                Ok(app) => break app,
                Err(fault) => assert_eq!(fault.code(), "store.unavailable", "{at_case}"),
            }
            assert!(checks <= opening.len(), "{at_case}: it does not open");
        };
        let (admitted, proof) = ingest::submit_one(&app, fresh("told", 0, NOW - 5))
            .await
            .unwrap();
        let told = Acknowledged {
            index: admitted.index,
            id: admitted.id.to_string(),
            proof: Some(proof),
        };
        // As if it were killed here, and somebody put the older database in its place.
        for name in ["log.state", "head.guard"] {
            std::fs::copy(data.join(name), older.join(name)).unwrap();
        }
        let refused = opened(async || App::open(at(&older, NOW)).await)
            .await
            .unwrap_err();
        let codes = ["data.other_copy", "log.behind_guard"];
        assert!(codes.contains(&refused.code()), "{at_case}: {refused}");

        if let Some(mode) = closing {
            faults.script().plan(Step::Mark, mode);
        }
        app.close().await;
        for _ in 0..2 {
            checks += 1;
            let checked = full_check_from(&data, &mut Known::of(&known)).await;
            checked.holds([&told]);
            assert_eq!(checked.size(), start + 1, "{at_case}");
            // It is the one that ran here last, however it was left.
            opened(async || App::open(at(&data, NOW)).await)
                .await
                .unwrap()
                .close()
                .await;
        }
        let state = std::fs::read_to_string(data.join("log.state")).unwrap();
        assert!(state.starts_with("closed\n"), "{at_case}: {state}");
        let produced = faults.script().produced;
        assert_eq!(
            produced,
            opening.len() + usize::from(closing.is_some()),
            "{at_case}: a fault never happened"
        );
        totals.add(produced, checks);
    });
    totals.print("tenures around 256", started);
}
