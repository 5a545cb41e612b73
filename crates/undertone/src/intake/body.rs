//! What a body holds: one interaction, an array of them, or one a line.

/// What a body holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// One interaction, for [`item::read`](super::item::read).
    Object,
    /// An array of them, for [`ArrayItems`](super::array::ArrayItems).
    Array,
    /// One a line, for [`Lines`](super::lines::Lines).
    Lines,
}

/// A content type that is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// Not JSON.
    #[error(
        "Content-Type {0} is not taken; send application/json for one interaction or an array of them, application/x-ndjson for one a line"
    )]
    Type(String),
    /// JSON, said not to be UTF-8.
    #[error("charset {0} is not taken; JSON is sent in UTF-8")]
    Charset(String),
}

impl Body {
    /// Tells by the content type, and by `start`, the first bytes of the body, where that leaves an object or an array. `None` when
    /// nothing but white space came yet: ask again with more. Without a content type the body counts as `application/json`.
    ///
    /// What begins with neither `{` nor `[` is an object here, so that its reader says what is wrong with it.
    pub fn detect(content_type: Option<&str>, start: &[u8]) -> Result<Option<Self>, Unsupported> {
        let mut parts = content_type.unwrap_or("application/json").split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        for parameter in parts {
            let Some((name, value)) = parameter.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            let is_utf8 = ["utf-8", "utf8", "us-ascii"].iter().any(|known| value.eq_ignore_ascii_case(known));
            if name.trim().eq_ignore_ascii_case("charset") && !is_utf8 {
                return Err(Unsupported::Charset(shown(value)));
            }
        }
        match media.as_str() {
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines"
            | "application/jsonlines" => return Ok(Some(Self::Lines)),
            "application/json" | "text/json" => {}
            other if other.starts_with("application/") && other.ends_with("+json") => {}
            other => return Err(Unsupported::Type(shown(other))),
        }
        // Only part of a byte order mark may be there yet.
        let after_mark = match start {
            [0xef] | [0xef, 0xbb] => return Ok(None),
            [0xef, 0xbb, 0xbf, rest @ ..] => rest,
            whole => whole,
        };
        Ok(after_mark.trim_ascii_start().first().map(|first| match first {
            b'[' => Self::Array,
            _ => Self::Object,
        }))
    }
}

fn shown(value: &str) -> String {
    value.chars().filter(|c| !c.is_control()).take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_and_the_first_sign_tell() {
        let json = Some("Application/JSON; charset=\"UTF-8\"");
        for (kind, start, wanted) in [
            (json, &b" \r\n{"[..], Some(Body::Object)),
            (json, b"\xef\xbb\xbf [1", Some(Body::Array)),
            (json, b"\xef\xbb", None),
            (json, b"\n ", None),
            (json, b"", None),
            (json, b"nonsense", Some(Body::Object)),
            (None, b"[", Some(Body::Array)),
            (Some("application/vnd.crm+json"), b"{", Some(Body::Object)),
            (Some("application/x-ndjson"), b"", Some(Body::Lines)),
            (Some("application/jsonl;charset=utf-8"), b"[", Some(Body::Lines)),
        ] {
            assert_eq!(Body::detect(kind, start), Ok(wanted), "{kind:?} {start:?}");
        }
    }

    #[test]
    fn other_types_are_refused_with_what_is_taken() {
        let told = |kind| Body::detect(Some(kind), b"{").unwrap_err().to_string();
        assert_eq!(
            told("text/csv; header=present"),
            "Content-Type text/csv is not taken; send application/json for one interaction or an array of them, application/x-ndjson for one a line"
        );
        assert_eq!(
            told("application/json; charset=iso-8859-1"),
            "charset iso-8859-1 is not taken; JSON is sent in UTF-8"
        );
        assert!(told(&"x".repeat(10_000)).len() < 300);
    }
}
