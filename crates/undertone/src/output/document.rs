//! Markdown of our own as HTML: the model card, figures.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, html};

/// The HTML of `markdown`. Raw HTML in it is shown as text and links are left out, so that a card from elsewhere brings nothing along.
pub fn html(markdown: &str) -> String {
    let leads_away = |event: &Event<'_>| {
        matches!(
            event,
            Event::Start(Tag::Link { .. } | Tag::Image { .. }) | Event::End(TagEnd::Link | TagEnd::Image)
        )
    };
    let events =
        Parser::new_ext(markdown, Options::ENABLE_TABLES).filter(|e| !leads_away(e)).map(
            |event| match event {
                Event::Html(raw) | Event::InlineHtml(raw) => Event::Text(raw),
                other => other,
            },
        );
    let mut out = String::new();
    html::push_html(&mut out, events);
    // Pages set no style of their own, and wide tables scroll by themselves instead of widening the page.
    out.replace(" style=\"text-align: right\"", " class=\"num\"")
        .replace("<table>", "<div class=\"scroll\"><table class=\"tbl\">")
        .replace("</table>", "</table></div>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_become_tables_and_html_stays_text() {
        let page = html(
            "# A\n\n| a | b |\n|---|---:|\n| 1 | <b>2</b> |\n\n<script>alert(1)</script>\n\n[x](javascript:alert(1))\n",
        );
        assert!(
            page.contains("<div class=\"scroll\"><table class=\"tbl\">") && page.contains("<h1>A</h1>"),
            "{page}"
        );
        assert!(
            !page.contains("<script>") && page.contains("&lt;script&gt;") && page.contains("&lt;b&gt;"),
            "{page}"
        );
        assert!(
            page.contains("<td class=\"num\">") && !page.contains("style=") && !page.contains("javascript"),
            "{page}"
        );
    }
}
