//! The same on PostgreSQL: who sees what does not depend on the database.

use undertone_core::visibility::Policy;
use undertone_testkit::postgres::Postgres;

use super::super::DATABASE;
use super::{canaries, figures, letters, surfaces};

fn on_postgres(test: fn()) {
    let server = Postgres::start();
    DATABASE.set(server.url());
    test();
}

#[test]
fn every_surface() {
    on_postgres(super::every_surface_shows_what_the_table_says);
}

#[test]
fn what_is_told_by_itself() {
    on_postgres(surfaces::what_is_told_by_itself_is_what_the_table_says);
}

#[test]
fn everything_that_can_be_read() {
    on_postgres(canaries::nothing_that_can_be_read_holds_what_is_not_to_be_seen);
}

#[test]
fn figures() {
    on_postgres(figures::figures_and_what_the_review_came_to_are_what_the_table_says);
}

#[test]
fn what_was_published() {
    on_postgres(figures::what_was_published_does_not_move);
}

#[tokio::test]
async fn every_letter() {
    for policy in Policy::ALL {
        let server = Postgres::start();
        DATABASE.set(server.url());
        letters::held_to_the_tables(policy).await;
    }
}
