//! What goes when the time of a text is over: the text, and everything that repeats it or was written about it in words.

use sea_orm::{DatabaseTransaction, FromQueryResult};
use serde_json::{Value as Json, json};

use super::super::Removed;
use super::super::reach;
use crate::statement::sql;
use crate::{Result, TenantId};

#[derive(FromQueryResult)]
struct Verdict {
    id: String,
    body: String,
}

/// What people wrote about a text in their own words, where the rest of the row stays.
const NOTES: [(&str, &str); 4] = [
    (
        "notes",
        "UPDATE sentiment_override SET reason = NULL WHERE tenant_id = ? AND reason IS NOT NULL AND interaction_id IN ?",
    ),
    (
        "notes",
        "UPDATE review_label SET note = NULL WHERE tenant_id = ? AND note IS NOT NULL AND item_id IN (SELECT r.id FROM review_item r \
         WHERE r.tenant_id = ? AND r.interaction_id IN ?)",
    ),
    (
        "notes",
        "UPDATE alert SET note = NULL WHERE tenant_id = ? AND note IS NOT NULL AND interaction_id IN ?",
    ),
    // Whom an alert was given to, until when it was put off and why it ended by itself are our words.
    (
        "notes",
        "UPDATE alert_step SET detail = NULL WHERE tenant_id = ? AND detail IS NOT NULL \
         AND step NOT IN ('assigned', 'snoozed', 'withdrawn', 'moved') AND alert_id IN (SELECT a.id FROM alert a \
         WHERE a.tenant_id = ? AND a.interaction_id IN ?)",
    ),
];

/// Texts go, and with them what repeats them: of verdicts the phrases they rest on and the summary, which quotes the strongest, what was told
/// of them, and what people noted.
pub(super) async fn forget_texts(
    tx: &DatabaseTransaction,
    tenant: TenantId,
    ids: &[String],
) -> Result<Removed> {
    let mut removed = Removed::default();
    let list = || ids.iter().map(String::as_str);
    let verdicts: Vec<Verdict> =
        sql("SELECT id, body FROM verdict WHERE tenant_id = ? AND interaction_id IN ?")
            .bind(tenant.0)
            .list(list())
            .all(tx)
            .await?;
    for Verdict { id, body } in verdicts {
        let Ok(mut body) = serde_json::from_str::<Json>(&body) else { continue };
        leave_out_words(&mut body);
        sql("UPDATE verdict SET body = ? WHERE tenant_id = ? AND id = ?")
            .bind(body.to_string())
            .bind(tenant.0)
            .bind(id)
            .run(tx)
            .await?;
    }
    sql("UPDATE interaction_sentiment SET summary = '', outside_summary = NULL, keywords = ?, human_override_reason = NULL \
         WHERE tenant_id = ? AND interaction_id IN ?")
    .bind(json!([]))
    .bind(tenant.0)
    .list(list())
    .run(tx)
    .await?;
    // Events, notices and answers say what the summary said.
    removed.add(&reach::forget_quotes(tx, tenant, ids).await?);
    removed.add(&reach::each(tx, tenant, &NOTES, ids).await?);
    removed.count("labels", reach::forget_labels(tx, tenant, ids).await?);
    let texts = sql("DELETE FROM interaction_text WHERE tenant_id = ? AND interaction_id IN ?")
        .bind(tenant.0)
        .list(list());
    removed.count("texts", texts.run(tx).await?);
    Ok(removed)
}

/// What conversations are about, in the words of whoever wrote there.
pub(super) async fn forget_subjects(
    tx: &DatabaseTransaction,
    tenant: TenantId,
    ids: &[String],
) -> Result<Removed> {
    const SUBJECTS: [(&str, &str); 1] =
        [("subjects", "UPDATE conversation SET subject = NULL, tags = NULL WHERE tenant_id = ? AND id IN ?")];
    reach::each(tx, tenant, &SUBJECTS, ids).await
}

/// Labels by the digests of their texts. One whose text also came in as an interaction goes with that at the latest ([`forget_texts`]).
pub(super) async fn forget_old_labels(
    tx: &DatabaseTransaction,
    tenant: TenantId,
    digests: &[String],
) -> Result<Removed> {
    const LABELS: [(&str, &str); 1] =
        [("old_labels", "DELETE FROM labelled_text WHERE tenant_id = ? AND digest IN ?")];
    reach::each(tx, tenant, &LABELS, digests).await
}

/// Empties what of a verdict is in the customer's words, wherever in it.
fn leave_out_words(json: &mut Json) {
    match json {
        Json::Object(fields) => {
            for (key, value) in fields {
                match key.as_str() {
                    "evidence" if value.is_array() => *value = json!([]),
                    "summary" if value.is_string() => *value = json!(""),
                    _ => leave_out_words(value),
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(leave_out_words),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_quotes_the_customer_is_left_out_wherever_it_stands() {
        let mut verdict = json!({"score": -60, "summary": "Strongest phrase: “canary”.", "evidence": [{"text": "canary"}],
            "aspects": [{"category": "billing", "score": -60}], "cascade": {"local": {"evidence": ["canary"], "label": "negative"}}});
        leave_out_words(&mut verdict);
        assert!(!verdict.to_string().contains("canary"), "{verdict}");
        assert_eq!(
            (&verdict["score"], &verdict["cascade"]["local"]["label"]),
            (&json!(-60), &json!("negative"))
        );
    }
}
