//! What lists and claims deliveries looks at no more than it needs, however many have arrived.

use std::sync::Arc;

use chrono::DateTime;
use sea_orm::{ConnectionTrait, DbBackend};
use undertone_core::clock::{CountedIds, SetClock};
use undertone_testkit::on_both_databases;

use super::deliveries::IN_TURN;
use super::log::{COLUMNS, listed};
use super::{DeliveryState, Which};
use crate::outbox::UNPLACED;
use crate::statement::sql;
use crate::{Options, Store, TenantId};

on_both_databases!(sqlite, postgres, what_arrived_is_not_looked_at);

const TENANT: TenantId = TenantId(1);

/// Of a thousand things twenty messages each have arrived; of every thing the last two failed, and wait.
const DELIVERIES: &str = "INSERT INTO delivery (tenant_id, id, destination_id, event_id, event, subject_id, replay, state, attempts, next_at, \
     created_at) WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 21999) SELECT 1, 'd' || (100000 + i), 'to', 'e' || i, \
     'alert.raised', 's' || (i % 1000), 0, CASE i / 1000 WHEN 20 THEN 'failed' WHEN 21 THEN 'pending' ELSE 'delivered' END, 1, ";

/// Ten thousand events have their place, and as many wait for it.
const EVENTS: &str = "INSERT INTO outbox (tenant_id, id, event, subject_id, to_workflow, to_webhooks, payload, position, created_at) \
     WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT 1, 'e' || (100000 + i), 'alert.raised', 's', TRUE, \
     TRUE, '{}', CASE WHEN i <= 10000 THEN i END, ";

async fn what_arrived_is_not_looked_at(url: String) {
    let clock = Arc::new(SetClock::new(DateTime::UNIX_EPOCH));
    let options = Options { url, connections: 2 };
    let store = Store::open(&options, clock, Arc::new(CountedIds::default())).await.unwrap();
    store.migrate().await.unwrap();
    sql(DELIVERIES).then("?, ? FROM n").bind(store.now()).bind(store.now()).run(&store.writer).await.unwrap();
    sql(EVENTS).then("? FROM n").bind(store.now()).run(&store.writer).await.unwrap();
    if store.backend() == DbBackend::Postgres {
        store.writer.execute_unprepared("ANALYZE delivery, outbox").await.unwrap();
    }
    for (state, index) in
        [(DeliveryState::Failed, "delivery_failed"), (DeliveryState::Pending, "delivery_pending")]
    {
        for before in [None, Some("d121500")] {
            let which = Which { state: Some(state), before, most: 50 };
            let told = listed(sql(COLUMNS), (TENANT, "to"), which).plan(&store.reader).await;
            assert!(told.contains(index) && !told.to_uppercase().contains("SORT"), "{told}");
            assert!(!told.contains("TEMP B-TREE"), "{told}");
        }
    }
    let turn =
        sql("SELECT id FROM delivery x WHERE tenant_id = ? AND destination_id = ? AND state = 'pending'")
            .bind(TENANT.0)
            .bind("to")
            .then(IN_TURN)
            .then(" ORDER BY next_at, id LIMIT 8")
            .plan(&store.reader)
            .await;
    assert!(turn.contains("delivery_turn"), "{turn}");
    let unplaced = sql(UNPLACED).bind(TENANT.0).bind(20_i64).plan(&store.reader).await;
    assert!(unplaced.contains("outbox_unplaced"), "{unplaced}");
    assert!(!unplaced.to_uppercase().contains("SORT") && !unplaced.contains("TEMP B-TREE"), "{unplaced}");
}
