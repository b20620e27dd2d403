//! What a store is: one list of behaviours, each held against SQLite, PostgreSQL and the double in memory. What only one of
//! them has is beside it.
#![allow(
    clippy::allow_attributes,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a test may panic, and its tasks end with it"
)]

#[path = "../support/mod.rs"]
mod support;

mod admission;
mod cluster;
mod doctor;
mod dumped;
mod entries;
mod epochs;
mod erasure;
mod explain;
mod fixture;
mod heads;
#[path = "../faults/history.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod history;
mod killed;
mod limits;
mod migrations;
mod moved;
mod names;
mod readers;
mod reports;
mod retries;
mod roles;
mod scrub;
mod sessions;
mod snapshots;
mod staging;
mod turns;
mod whole;

use std::{any::Any, sync::Arc};

use goodstanding::store::{Store, sqlite::SqliteStore};
use support::{memory::MemoryStore, postgres::Database};

/// A store and what has to outlive it.
struct On {
    store: Arc<dyn Store>,
    _under: Box<dyn Any>,
}

async fn on_sqlite() -> On {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&dir.path().join("store.sqlite"), true).await;
    On {
        store: Arc::new(store.unwrap()),
        _under: Box::new(dir),
    }
}

async fn on_postgres() -> On {
    let database = Database::new().await;
    On {
        store: Arc::new(database.store().await),
        _under: Box::new(database),
    }
}

fn on_memory() -> impl Future<Output = On> {
    std::future::ready(On {
        store: Arc::new(MemoryStore::new()),
        _under: Box::new(()),
    })
}

macro_rules! conformance {
    ($($module:ident: $($name:ident)*;)*) => {
        conformance!(@on sqlite on_sqlite $($module: $($name)*;)*);
        conformance!(@on postgres on_postgres $($module: $($name)*;)*);
        conformance!(@on memory on_memory $($module: $($name)*;)*);

        /// Every function of these files that takes a store is in the list: none is written and never run.
        #[test]
        fn every_behaviour_is_listed() {
            let listed = [$($(concat!(stringify!($module), "::", stringify!($name))),*),*];
            let mut written = Vec::new();
            $(
                let source = include_str!(concat!(stringify!($module), ".rs"));
                for line in source.lines().filter(|line| line.contains("(store: Arc<dyn Store>)")) {
                    let name = line.split("fn ").nth(1).unwrap().split('(').next().unwrap();
                    written.push(format!("{}::{name}", stringify!($module)));
                }
            )*
            assert_eq!(written, listed);
            println!("{} behaviours", listed.len());
        }
    };
    (@on $backend:ident $open:ident $($module:ident: $($name:ident)*;)*) => {
        mod $backend {
            $(mod $module {
                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $name() {
                        let on = crate::$open().await;
                        crate::$module::$name(on.store.clone()).await;
                        on.store.close().await;
                    }
                )*
            })*
        }
    };
}

conformance! {
    heads: an_empty_store_has_nothing a_commit_moves_the_head a_head_is_confirmed_as_long_as_it_is_the_head a_commit_on_another_size_is_refused a_commit_on_another_root_is_refused
        a_second_first_commit_is_refused a_commit_on_no_head_is_refused_before_there_is_one a_refused_commit_leaves_nothing
        of_writers_on_one_head_one_wins of_first_commits_one_wins published_checkpoints_ascend newest_checkpoints_descend
        the_newest_or_one_size_is_published publishing_again_keeps_the_time_and_takes_the_note;
    entries: entries_come_by_half_open_range bytes_come_back_as_they_were events_are_by_kind_and_never_reports
        index_at_is_the_first_at_or_after an_entry_is_written_once many_entries_are_one_commit a_tile_is_its_newest_width
        trees_and_levels_are_apart of_many_tiles_those_there_are the_last_of_a_tile_written_twice_counts an_empty_tile_is_refused;
    reports: a_report_comes_back_by_id bodies_come_by_range_and_limit each_filter_selects filters_combine_and_page
        both_parties_current_reports_come current_reports_are_as_of_an_index the_newest_report superseding_is_seen_across_commits
        superseding_is_seen_within_a_batch a_chain_within_a_batch the_first_to_supersede_does a_second_current_report_is_refused
        an_id_is_taken_once a_jti_is_taken_once_a_reporter a_failure_half_way_leaves_nothing names_differ_by_their_bytes
        long_names_are_stored a_full_batch_is_stored text_with_a_nul_matches_nothing_and_is_refused;
    admission: of_an_unknown_report_nothing_is_known the_same_bytes_are_known a_jti_is_known_by_reporter the_current_report_is_known
        the_counterparty_counts_in_the_other_role unilateral_reports_are_counted_since answers_come_in_the_order_asked
        a_batch_larger_than_any_is_answered known_documents_are_those_stored reports_with_a_document_ascend;
    epochs: an_epoch_comes_by_number_or_newest epochs_descend statements_ascend_from_a_leaf statements_of_an_agent_descend
        reached_is_of_the_newest_epoch an_epoch_without_statements an_epoch_is_numbered_once an_epoch_of_sixty_thousand;
    staging: nobody_sees_what_is_staged_before_it_is_logged what_is_staged_goes_away_and_nothing_else
        an_agent_that_came_with_it_goes_with_it leaves_come_one_after_the_other an_epoch_is_all_that_was_staged_or_nothing
        who_claims_ends_the_other an_erasure_ends_it text_that_cannot_be_stored_is_not_staged ten_thousand_go_in_steps;
    erasure: an_erased_report_is_gone its_record_stays log_bodies_have_its_place erased_since_counts_later_erasures
        admission_knows_it a_chain_closes_over_it erasing_the_newest_makes_the_one_before_current what_others_name_stays
        what_nobody_names_goes another_report_at_the_index_is_refused erasing_twice_is_refused scrubbing_ends;
    names: an_alias_names_an_agent an_alias_is_replaced an_alias_has_one_agent aliases_come_in_the_order_of_keys
        no_aliases_are_no_change a_token_takes_a_place a_token_needs_its_agent lists_are_apart a_setting_is_written_once a_setting_that_changes_is_replaced;
    limits: numbers_beyond_the_database_are_refused the_largest_number_is_kept a_limit_of_zero_gives_nothing
        ranges_upside_down_are_empty a_closed_store_fails readers_do_not_hold_the_writer_up;
}
