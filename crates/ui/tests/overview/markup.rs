//! A reader of our own HTML, strict where browsers are lenient: what is opened is closed, in order.

/// An element as it was opened.
#[derive(Debug, Clone)]
pub struct Element {
    pub name: String,
    pub attributes: Vec<(String, String)>,
}

impl Element {
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// All elements, and each stretch of text with the names of the elements around it.
#[derive(Debug, Default)]
pub struct Markup {
    pub elements: Vec<Element>,
    pub texts: Vec<(Vec<String>, String)>,
}

impl Markup {
    pub fn named(&self, name: &str) -> impl Iterator<Item = &Element> {
        self.elements.iter().filter(move |e| e.name == name)
    }

    pub fn all(&self, attribute: &str) -> Vec<&str> {
        self.elements.iter().filter_map(|e| e.attribute(attribute)).collect()
    }

    /// The texts, one after the other.
    pub fn text(&self) -> String {
        self.texts.iter().map(|(_, text)| text.as_str()).collect()
    }
}

/// Reads `html`; panics where an element is closed that is not open, or stays open.
pub fn read(html: &str) -> Markup {
    const VOID: [&str; 4] = ["meta", "link", "input", "br"];
    let (mut markup, mut open, mut rest) = (Markup::default(), Vec::<String>::new(), html);
    while let Some(at) = rest.find('<') {
        markup.texts.push((open.clone(), rest[..at].to_owned()));
        let end = at + end_of_tag(&rest[at..]);
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if tag.starts_with('!') {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "closed out of order before {rest:.80}");
            continue;
        }
        let element = element(tag.trim_end_matches('/'));
        if !tag.ends_with('/') && !VOID.contains(&element.name.as_str()) {
            open.push(element.name.clone());
        }
        markup.elements.push(element);
    }
    assert!(open.is_empty(), "never closed: {open:?}");
    markup
}

/// The `>` that ends a tag: not one inside quotes.
fn end_of_tag(tag: &str) -> usize {
    let mut quoted = false;
    let end = tag.char_indices().find(|(_, c)| {
        quoted ^= *c == '"';
        *c == '>' && !quoted
    });
    assert!(end.is_some(), "a tag without end: {tag:.80}");
    end.map_or(0, |(at, _)| at)
}

fn element(tag: &str) -> Element {
    let (name, mut rest) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
    let mut attributes = Vec::new();
    while !rest.trim_start().is_empty() {
        rest = rest.trim_start();
        let name_end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let (attribute, after) = rest.split_at(name_end);
        if let Some(value) = after.strip_prefix("=\"") {
            let (value, after) = value.split_once('"').unwrap_or_default();
            attributes.push((attribute.to_owned(), value.to_owned()));
            rest = after;
        } else {
            assert!(!after.starts_with('='), "a value without quotes: {tag}");
            attributes.push((attribute.to_owned(), String::new()));
            rest = after;
        }
    }
    Element { name: name.to_owned(), attributes }
}
