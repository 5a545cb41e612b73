//! Lists in pages: `limit`, `after_id`, `before_id`.

use std::collections::HashMap;
use std::ops::Range;

use axum::extract::Query;
use axum::http::Uri;

use crate::Problem;
use crate::fields::Checked;

/// Entries of a page where the caller does not say.
const USUAL: usize = 20;
const MOST: usize = 1_000;

/// A page of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) entries: Range<usize>,
    /// More follow in the direction that was asked for.
    pub(super) has_more: bool,
}

/// The page of `ids` that the address asks for.
pub(super) fn page(ids: &[&str], uri: &Uri) -> Checked<Page> {
    let Query(mut query) = Query::<HashMap<String, String>>::try_from_uri(uri)
        .map_err(|error| Problem::invalid(format!("the query can not be read: {error}")))?;
    let limit = match query.remove("limit") {
        None => USUAL,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=MOST).contains(limit))
            .ok_or_else(|| Problem::field("limit", format!("Input should be between 1 and {MOST}")))?,
    };
    let (after, before) = (query.remove("after_id"), query.remove("before_id"));
    if let Some(unknown) = query.keys().next() {
        return Err(Problem::field(unknown, "Extra inputs are not permitted"));
    }
    let place = |name: &str, id: &str| {
        ids.iter()
            .position(|known| *known == id)
            .ok_or_else(|| Problem::field(name, format!("'{id}' is not in the list")))
    };
    match (after, before) {
        (Some(_), Some(_)) => Err(Problem::field("after_id", "not together with before_id")),
        (None, Some(id)) => {
            let end = place("before_id", &id)?;
            let start = end.saturating_sub(limit);
            Ok(Page { entries: start..end, has_more: start > 0 })
        }
        (after, None) => {
            let start = after.map(|id| place("after_id", &id)).transpose()?.map_or(0, |at| at + 1);
            let end = (start + limit).min(ids.len());
            Ok(Page { entries: start..end, has_more: end < ids.len() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(query: &str) -> Result<(Range<usize>, bool), String> {
        let ids = ["a", "b", "c", "d", "e"];
        let uri = format!("/v1/models?{query}").parse().unwrap();
        page(&ids, &uri).map(|page| (page.entries, page.has_more)).map_err(|problem| problem.message)
    }

    #[test]
    fn forwards_and_backwards() {
        assert_eq!(told(""), Ok((0..5, false)));
        assert_eq!(told("limit=2"), Ok((0..2, true)));
        assert_eq!(told("limit=2&after_id=b"), Ok((2..4, true)));
        assert_eq!(told("limit=2&after_id=c"), Ok((3..5, false)));
        assert_eq!(told("after_id=e"), Ok((5..5, false)));
        assert_eq!(told("limit=2&before_id=d"), Ok((1..3, true)));
        assert_eq!(told("before_id=a"), Ok((0..0, false)));
    }

    #[test]
    fn what_can_not_be_asked_for() {
        for query in ["limit=0", "limit=1001", "limit=x", "after_id=z", "after_id=a&before_id=b", "page=2"] {
            assert!(told(query).is_err(), "{query}");
        }
    }
}
