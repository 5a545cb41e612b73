//! Places in a tenant's order of events, as they are told. A number would say how many events lie between two that somebody may see, and
//! so, right after a verdict, that it was a bad one; a cursor looks like another each time and says nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use undertone_store::outbox::Sequence;

/// The cursor before everything.
const BEGINNING: &str = "0";
const NONCE: usize = 8;
const PLACE: usize = 8;
const CHECK: usize = 4;

/// A tenant's places.
#[derive(Debug, Clone)]
pub struct Places(Option<Sequence>);

impl Places {
    /// Those of a tenant whose events have come so far; of none before its first event.
    pub fn of(sequence: Option<Sequence>) -> Self {
        Self(sequence)
    }

    /// The youngest event's.
    pub fn last(&self) -> i64 {
        self.0.as_ref().map_or(0, |sequence| sequence.last)
    }

    /// That of the youngest event that is not kept any more.
    pub fn removed(&self) -> i64 {
        self.0.as_ref().map_or(0, |sequence| sequence.removed)
    }

    /// A place as it is told.
    pub fn cursor(&self, place: i64) -> String {
        self.told(place, |_| rand::random())
    }

    /// A place as this person is told of it each time.
    pub fn lasting(&self, person: &str, place: i64) -> String {
        self.told(place, |sequence| {
            let digest = Sha256::new()
                .chain_update(&sequence.cursor_key)
                .chain_update(b"lasting")
                .chain_update(person)
                .chain_update(place.to_be_bytes())
                .finalize();
            let mut nonce = [0; NONCE];
            nonce.copy_from_slice(&digest[..NONCE]);
            nonce
        })
    }

    fn told(&self, place: i64, nonce: impl Fn(&Sequence) -> [u8; NONCE]) -> String {
        let Some(sequence) = &self.0 else { return BEGINNING.to_owned() };
        let nonce = nonce(sequence);
        let hidden = hide(sequence, &nonce, place.to_be_bytes());
        URL_SAFE_NO_PAD.encode([&nonce[..], &hidden, &check(sequence, &nonce, place)].concat())
    }

    /// The place that was told so; `None` where nobody of this tenant was told that.
    pub fn place(&self, cursor: &str) -> Option<i64> {
        if cursor == BEGINNING {
            return Some(0);
        }
        let sequence = self.0.as_ref()?;
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (nonce, rest) = bytes.split_at_checked(NONCE)?;
        let (hidden, checked) = rest.split_at_checked(PLACE)?;
        let place = i64::from_be_bytes(hide(sequence, nonce, hidden.try_into().ok()?));
        (checked == check(sequence, nonce, place)).then_some(place)
    }
}

/// Hides a place, or brings a hidden one back.
fn hide(sequence: &Sequence, nonce: &[u8], place: [u8; PLACE]) -> [u8; PLACE] {
    let mask = Sha256::new()
        .chain_update(&sequence.cursor_key)
        .chain_update(b"place")
        .chain_update(nonce)
        .finalize();
    let mut hidden = place;
    for (byte, mask) in hidden.iter_mut().zip(mask) {
        *byte ^= mask;
    }
    hidden
}

fn check(sequence: &Sequence, nonce: &[u8], place: i64) -> [u8; CHECK] {
    let digest = Sha256::new()
        .chain_update(&sequence.cursor_key)
        .chain_update(b"check")
        .chain_update(nonce)
        .chain_update(place.to_be_bytes())
        .finalize();
    let mut check = [0; CHECK];
    check.copy_from_slice(&digest[..CHECK]);
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(key: &str) -> Places {
        Places::of(Some(Sequence { last: 9, removed: 2, cursor_key: key.to_owned() }))
    }

    #[test]
    fn a_cursor_stands_for_its_place_and_looks_like_another_each_time() {
        let mine = places("mine");
        for place in [0, 1, 9, 1 << 40] {
            let cursors = [mine.cursor(place), mine.cursor(place)];
            assert_ne!(cursors[0], cursors[1]);
            assert!(cursors.iter().all(|cursor| mine.place(cursor) == Some(place)));
            assert_eq!(places("theirs").place(&cursors[0]), None);
        }
    }

    #[test]
    fn a_person_is_told_the_same_each_time_and_nobody_else_is() {
        let mine = places("mine");
        let told = mine.lasting("ana", 7);
        assert_eq!((mine.place(&told), mine.lasting("ana", 7)), (Some(7), told.clone()));
        assert_ne!(mine.lasting("ben", 7), told);
        assert_ne!(mine.lasting("ana", 8)[..8], told[..8]);
        assert_eq!(places("theirs").place(&told), None);
    }

    #[test]
    fn what_nobody_was_told_is_no_cursor() {
        let mine = places("mine");
        let cursor = mine.cursor(7);
        let mut bent = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
        bent[NONCE] ^= 1;
        for wrong in ["", "1", "-1", "x", "ü", &cursor[1..], &cursor[..10], &URL_SAFE_NO_PAD.encode(bent)] {
            assert_eq!(mine.place(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn before_the_first_event_there_is_a_beginning() {
        let none = Places::of(None);
        assert_eq!(none.cursor(0), BEGINNING);
        assert_eq!((none.place(BEGINNING), none.place(&places("mine").cursor(1))), (Some(0), None));
        assert_eq!(places("mine").place(BEGINNING), Some(0));
    }
}
