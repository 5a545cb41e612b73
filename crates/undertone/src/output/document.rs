//! Markdown of our own as HTML: the model card, figures.

use pulldown_cmark::{Event, Options, Parser, html};

/// The HTML of `markdown`. Raw HTML in it is shown as text, so that a card from elsewhere brings no script along.
pub fn html(markdown: &str) -> String {
    let events = Parser::new_ext(markdown, Options::ENABLE_TABLES).map(|event| match event {
        Event::Html(raw) | Event::InlineHtml(raw) => Event::Text(raw),
        other => other,
    });
    let mut out = String::new();
    html::push_html(&mut out, events);
    // Wide tables scroll by themselves instead of widening the page.
    out.replace("<table>", "<div class=\"scroll\"><table class=\"tbl\">")
        .replace("</table>", "</table></div>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_become_tables_and_html_stays_text() {
        let page = html("# A\n\n| a | b |\n|---|---:|\n| 1 | <b>2</b> |\n\n<script>alert(1)</script>\n");
        assert!(
            page.contains("<div class=\"scroll\"><table class=\"tbl\">") && page.contains("<h1>A</h1>"),
            "{page}"
        );
        assert!(
            !page.contains("<script>") && page.contains("&lt;script&gt;") && page.contains("&lt;b&gt;"),
            "{page}"
        );
    }
}
