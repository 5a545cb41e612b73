//! One or two sentences in an analyst's voice, put together from what was read. It names the emotion, the issue, the urgency and the
//! strongest phrase, and nothing that is not in the verdict.

use undertone_core::verdict::{Aspect, Evidence};
use undertone_core::{CategoryId, Emotion, Kind, Label, Urgency, Verdict};

/// What a summary is made of.
pub(crate) struct Findings<'a> {
    pub kind: Kind,
    pub label: Label,
    pub emotion: &'a Emotion,
    pub urgency: Urgency,
    pub category: &'a CategoryId,
    pub aspects: &'a [Aspect],
    pub evidence: &'a [Evidence],
    /// The verdict will be marked for review.
    pub unsure: bool,
    /// The customer asks something.
    pub asks: bool,
}

impl<'a> Findings<'a> {
    /// Those of a verdict that has no summary yet.
    pub(crate) fn of(verdict: &'a Verdict, kind: Kind, asks: bool) -> Self {
        Self {
            kind,
            label: verdict.label,
            emotion: &verdict.dominant_emotion,
            urgency: verdict.urgency,
            category: &verdict.category,
            aspects: &verdict.aspects,
            evidence: &verdict.evidence,
            unsure: verdict.needs_review(),
            asks,
        }
    }

    /// The strongest phrase that pulls up, or down.
    fn strongest(&self, up: bool) -> Option<&'a Evidence> {
        self.evidence.iter().find(|e| e.weight != 0.0 && (e.weight > 0.0) == up)
    }
}

/// The summary of a verdict.
pub(crate) fn summarise(f: &Findings<'_>) -> String {
    let customer = match f.kind {
        Kind::Note => "By the agent's note, the customer",
        Kind::Summary => "By the summary, the customer",
        Kind::Transcript => "In the conversation, the customer",
        Kind::Message | Kind::Comment => "The customer",
    };
    let is = if f.unsure { "seems" } else { "is" };
    let about = about(f.category);
    let feeling = match f.label {
        Label::Neutral if f.asks => format!("{customer} asks{about} and shows no strong feeling"),
        Label::Neutral => format!("{customer} speaks{about} and shows no strong feeling"),
        Label::Mixed => mixed(f, customer, is),
        Label::Positive | Label::Negative => format!("{customer} {is} {}{about}", adjective(f.emotion)),
    };
    let pressing = match f.urgency {
        Urgency::High => ", and it is urgent",
        Urgency::Medium => "; urgency is medium",
        Urgency::Low => "; urgency is low",
    };
    let strongest = match f.label {
        Label::Positive | Label::Negative => f.strongest(f.label == Label::Positive),
        Label::Neutral | Label::Mixed => None,
    };
    let phrase = strongest
        .map_or_else(String::new, |strongest| format!(" Strongest phrase: “{}”.", one_line(&strongest.text)));
    format!("{feeling}{pressing}.{phrase}")
}

fn mixed(f: &Findings<'_>, customer: &str, is: &str) -> String {
    let topic = |up: bool| {
        let aspect = f.aspects.iter().find(|a| (a.score.get() > 0) == up);
        aspect.map_or(String::new(), |a| about(&a.category))
    };
    let quoted = |e: Option<&Evidence>| e.map_or(String::new(), |e| format!(" (“{}”)", one_line(&e.text)));
    let (pleased, unhappy) = (topic(true), topic(false));
    // Two aspects of the same category say nothing apart.
    let (pleased, unhappy) = if pleased == unhappy { (String::new(), unhappy) } else { (pleased, unhappy) };
    format!(
        "{customer} {is} pleased{pleased}{} but {}{unhappy}{}",
        quoted(f.strongest(true)),
        if is_negative(f.emotion) { adjective(f.emotion) } else { "unhappy" },
        quoted(f.strongest(false)),
    )
}

fn is_negative(emotion: &Emotion) -> bool {
    emotion.goes_with(Label::Negative)
}

fn adjective(emotion: &Emotion) -> &str {
    match emotion.as_str() {
        "frustration" => "frustrated",
        "anger" => "angry",
        "disappointment" => "disappointed",
        "confusion" => "confused",
        "worry" => "worried",
        "sadness" => "sad",
        "gratitude" => "grateful",
        "relief" => "relieved",
        "joy" => "happy",
        "neutral" => "calm",
        // An artifact may know other words; a noun still reads as a finding.
        other => other,
    }
}

/// " about delivery"; empty for the category of everything else.
fn about(category: &CategoryId) -> String {
    let topic = match category.as_str() {
        "other" => return String::new(),
        "refund" => "a refund",
        "technical" => "a technical matter",
        "cancellation" => "cancelling",
        "customer_service" => "how they were dealt with",
        "booking" => "a booking",
        "how_to" => "how something works",
        "feature_request" => "something they wish for",
        "security" => "security or privacy",
        _ => return format!(" about {}", category.words()),
    };
    format!(" about {topic}")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use undertone_core::Score;
    use undertone_core::verdict::Span;

    use super::*;

    fn findings<'a>(label: Label, emotion: &'a Emotion, category: &'a CategoryId) -> Findings<'a> {
        Findings {
            kind: Kind::Message,
            label,
            emotion,
            urgency: Urgency::High,
            category,
            aspects: &[],
            evidence: &[],
            unsure: false,
            asks: false,
        }
    }

    fn evidence(text: &str, weight: f32) -> Evidence {
        Evidence::found(Span { start: 0, end: text.len() }, text.into(), weight)
    }

    #[test]
    fn summaries_read_like_an_analyst_wrote_them() {
        let (anger, relief) = (Emotion::new("anger").unwrap(), Emotion::new("relief").unwrap());
        let (delivery, other) = (CategoryId::new("delivery").unwrap(), CategoryId::other());
        let phrases = [evidence("third time\nthis week", -9.0)];
        let f = Findings { evidence: &phrases, ..findings(Label::Negative, &anger, &delivery) };
        assert_eq!(
            summarise(&f),
            "The customer is angry about delivery, and it is urgent. Strongest phrase: “third time this week”."
        );
        let f = Findings {
            urgency: Urgency::Low,
            unsure: true,
            kind: Kind::Note,
            ..findings(Label::Positive, &relief, &other)
        };
        assert_eq!(summarise(&f), "By the agent's note, the customer seems relieved; urgency is low.");
        let f = Findings {
            urgency: Urgency::Medium,
            asks: true,
            ..findings(Label::Neutral, &Emotion::NEUTRAL, &delivery)
        };
        assert_eq!(
            summarise(&f),
            "The customer asks about delivery and shows no strong feeling; urgency is medium."
        );
    }

    #[test]
    fn a_mixed_summary_names_both_sides() {
        let anger = Emotion::new("disappointment").unwrap();
        let (delivery, product) =
            (CategoryId::new("delivery").unwrap(), CategoryId::new("product_quality").unwrap());
        let aspect = |category: &CategoryId, score| Aspect {
            category: category.clone(),
            score: Score::new(score).unwrap(),
            span: Span { start: 0, end: 1 },
        };
        let aspects = [aspect(&product, 60), aspect(&delivery, -50)];
        let phrases = [evidence("hate the delivery", -20.0), evidence("love the product", 18.0)];
        let f = Findings {
            aspects: &aspects,
            evidence: &phrases,
            urgency: Urgency::Medium,
            ..findings(Label::Mixed, &anger, &delivery)
        };
        assert_eq!(
            summarise(&f),
            "The customer is pleased about product quality (“love the product”) but disappointed about delivery \
             (“hate the delivery”); urgency is medium."
        );
    }
}
