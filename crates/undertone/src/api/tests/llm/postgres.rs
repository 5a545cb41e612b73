//! The same tests on PostgreSQL: what is asked, paid for and recorded does not depend on the database.

use undertone_testkit::postgres::Postgres;

use super::super::DATABASE;

/// Runs tests of this folder once more, each on a PostgreSQL server of its own.
macro_rules! once_more {
    ($($name:ident: $test:path),+ $(,)?) => {
        $(#[test]
        fn $name() {
            let server = Postgres::start();
            DATABASE.set(server.url());
            $test();
        })+
    };
}

once_more! {
    a_bill_adds_up: super::an_llm_scores_and_its_bill_adds_up,
    who_waits_is_scored: super::away::whoever_waits_for_the_llm_is_scored_by_it,
    a_cap_stops_and_lets_go: super::away::a_cap_stops_the_llm_and_a_raised_one_lets_it_go_on_at_once,
    a_refused_key: super::refused::a_refused_key_is_asked_with_once_however_much_waits,
    tenants_that_share_a_key: super::refused::tenants_that_share_a_key_share_what_is_known_of_it,
    a_refused_batch: super::refused::a_refused_batch_is_not_sent_again_at_once,
    one_before_the_batch: super::refused::one_request_goes_before_the_first_batch,
    no_change_is_missed: super::away::a_change_while_the_llm_is_asked_is_not_missed,
    a_slow_llm: super::beside::a_slow_llm_holds_nobody_up,
    at_the_end: super::beside::at_the_end_what_waits_for_the_llm_is_given_back,
    the_cascade: super::cascade::both_verdicts_show_and_what_the_cascade_did_adds_up,
    a_backfill: super::backfill::what_had_no_verdict_gets_one_and_said_twice_spends_nothing,
    a_refresh: super::backfill::a_refresh_tells_what_it_changed_and_keeps_what_people_said,
    every_scorer: super::backfill::any_scorer_serves_a_run,
    no_money: super::backfill::a_run_waits_for_money_and_goes_on_when_there_is_some,
    an_outage: super::backfill::an_outage_loses_nothing_and_charges_nothing_twice,
    batches: super::backfill::batches::batches_are_read_whatever_becomes_of_their_requests,
    batches_that_outlive: super::backfill::batches::a_batch_outlives_the_process_and_a_lost_answer,
    several_nodes: super::nodes::several_nodes_drive_one_run_and_two_of_them_end,
    nodes_under_a_cap: super::nodes::several_nodes_under_a_cap_never_pass_it,
}
