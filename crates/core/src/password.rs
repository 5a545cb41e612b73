//! What a new password may be: its length, and none that is guessed first. No rules of composition: they make passwords worse (NIST SP
//! 800-63B, OWASP ASVS 5.0 §6.2).

/// Characters a password has at least …
pub const SHORTEST: usize = 12;
/// … and at most; longer ones only cost time.
pub const LONGEST: usize = 128;

/// The commonest passwords of [`SHORTEST`] characters and more, in lower case: those of Django's list (BSD-3-Clause) and of zxcvbn's and
/// zxcvbn-ts's (MIT), which all go back to published leaks. Repetitions are refused by rule.
const COMMONEST: &str = include_str!("password/commonest.txt");

/// Why a password is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Fewer than [`SHORTEST`] characters.
    #[error("a password has 12 characters or more; several words in a row are easy to keep")]
    TooShort,
    /// More than [`LONGEST`].
    #[error("a password has 128 characters at most")]
    TooLong,
    /// It is among those that are tried first.
    #[error("this password is among the first that are guessed; take another")]
    Common,
    /// Little is left of it without the person's address or the product's name.
    #[error("this password is little more than your e-mail address or the name Undertone; take another")]
    Personal,
}

/// Whether `password` may be the new one of the person with this e-mail address.
///
/// # Errors
/// [`Refused`] says why not, in words for that person.
///
/// ```
/// use undertone_core::password::{Refused, check};
/// assert_eq!(check("correct horse battery", "ana@example.com"), Ok(()));
/// assert_eq!(check("Password1234", "ana@example.com"), Err(Refused::Common));
/// ```
pub fn check(password: &str, email: &str) -> Result<(), Refused> {
    let length = password.chars().count();
    if length < SHORTEST {
        return Err(Refused::TooShort);
    }
    if length > LONGEST {
        return Err(Refused::TooLong);
    }
    let lower = password.to_lowercase();
    if COMMONEST.split_whitespace().any(|known| known == lower) || is_repetition(&lower) || is_run(&lower) {
        return Err(Refused::Common);
    }
    let (name, host) = email.split_once('@').unwrap_or((email, ""));
    let host = host.split('.').next().unwrap_or_default();
    let mut rest = lower;
    for word in [email, name, host, "undertone"] {
        let word = word.to_lowercase();
        if word.chars().count() >= 3 {
            rest = rest.replace(&word, "");
        }
    }
    let left = rest.chars().count();
    if left < length && left < SHORTEST / 2 { Err(Refused::Personal) } else { Ok(()) }
}

/// One to six signs over and over, such as `aaaaaaaaaaaa` or `secretsecretsecret`.
fn is_repetition(password: &str) -> bool {
    let signs: Vec<char> = password.chars().collect();
    (1..=6).any(|unit| signs.iter().zip(signs.iter().skip(unit)).all(|(a, b)| a == b))
}

/// Neighbours in the alphabet, among the digits or on a row of the keyboard throughout, forwards or backwards.
fn is_run(password: &str) -> bool {
    const ROWS: [&str; 6] = [
        "abcdefghijklmnopqrstuvwxyz",
        "12345678901234567890",
        "01234567890123456789",
        "qwertyuiop",
        "asdfghjkl",
        "zxcvbnm",
    ];
    let signs: Vec<char> = password.chars().collect();
    let follow = |pair: &[char]| {
        ROWS.iter().any(|row| {
            let row: Vec<char> = row.chars().collect();
            row.windows(2).any(|next| next == pair || (next[0] == pair[1] && next[1] == pair[0]))
        })
    };
    // A jump from one row to the next, as in qwertyuiopasdfghjkl, is a run too.
    let jumps = signs.windows(2).filter(|pair| !follow(pair)).count();
    jumps <= signs.len() / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_long_and_common_ones_are_refused() {
        for (password, refused) in [
            ("", Refused::TooShort),
            ("elevensigns", Refused::TooShort),
            ("ÄÖÜäöüßÄÖÜä", Refused::TooShort),
            (&*"x1".repeat(65), Refused::TooLong),
            ("qwerty123456", Refused::Common),
            ("QWERTY123456", Refused::Common),
            ("aaaaaaaaaaaa", Refused::Common),
            ("passwopasswopasswo", Refused::Common),
            ("abcdefghijklmnop", Refused::Common),
            ("qwertyuiopasdfghjkl", Refused::Common),
            ("0987654321098", Refused::Common),
            ("ana.garcia@shop.example", Refused::Personal),
            ("ana.garcia2026", Refused::Personal),
            ("Undertone2026!", Refused::Personal),
        ] {
            assert_eq!(check(password, "Ana.Garcia@shop.example"), Err(refused), "{password}");
        }
    }

    #[test]
    fn no_kind_of_sign_is_asked_for() {
        for password in
            ["correct horse battery", "kuvgz-tnrpa-wqexd", "ÄÖÜäöüßÄÖÜäöx", "undertone but with more words"]
        {
            assert_eq!(check(password, "ana@example.com"), Ok(()), "{password}");
        }
        assert_eq!(check(&"ab cd ef gh ".repeat(10)[..120], "al@ab.example"), Ok(()));
    }

    #[test]
    fn the_list_holds_only_what_the_length_lets_through() {
        let words: Vec<&str> = COMMONEST.split_whitespace().collect();
        assert!(words.len() > 350, "{}", words.len());
        for word in words {
            assert!(word.chars().count() >= SHORTEST && word == word.to_lowercase(), "{word}");
        }
    }
}
