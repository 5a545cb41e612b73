//! German.

use super::{Passed, Words, alerts_days, channels};
use crate::verdict::ScorerKind;
use crate::visibility::Policy;

pub(super) const WORDS: Words = Words {
    notice: |tenant, settings, also| {
        let who = match settings.scorer {
            ScorerKind::Local | ScorerKind::Cascade if also => {
                "Das geschieht auf unseren eigenen Systemen; Ihr Text kann auch an den Anbieter eines Sprachmodells gehen, ohne die \
                 Kontaktdaten, die darin erkannt werden."
            }
            ScorerKind::Local => {
                "Das geschieht auf unseren eigenen Systemen; Ihr Text wird dafür nicht weitergegeben."
            }
            ScorerKind::Claude | ScorerKind::Openai => {
                "Dafür geht Ihr Text an den Anbieter eines Sprachmodells, ohne die Kontaktdaten, die darin erkannt werden."
            }
            ScorerKind::Cascade => {
                "Wo unser Programm unsicher ist, geht Ihr Text an den Anbieter eines Sprachmodells, ohne die Kontaktdaten, die darin erkannt werden."
            }
        };
        format!(
            "{tenant} lässt ein Programm lesen, was Sie dem Kundendienst schreiben, um zu erkennen, wie zufrieden Sie mit uns sind, damit ein \
             Mensch früher hilft, wo es nötig ist. {who} Texte werden nach {} Tagen gelöscht. Sie können dem jederzeit widersprechen und \
             erfahren, was über Sie gespeichert ist.",
            settings.retention_text_days
        )
    },
    sections: [
        ("collected", "Was erhoben wird.", |tenant, settings| {
            format!(
                "Was Sie an {tenant} schreiben oder was über einen Kontakt mit Ihnen notiert wird, auf diesen Wegen: {}. Dazu: wann, in \
                 welchem Gespräch und mit wem es war, und Ihr Name, Ihre E-Mail-Adresse, Ihre Telefonnummer und Ihre Firma, soweit Sie sie \
                 uns genannt haben. Betrachtet wird nur Text: keine Stimme, keine Tippgeschwindigkeit, kein Bild.",
                channels(settings)
            )
        }),
        ("read", "Was daraus gelesen wird.", |_, _| {
            "Wie ein Text klingt: ein Wert von -100 bis 100, positiv, neutral, negativ oder gemischt, das stärkste Gefühl, wie dringend es ist, \
             worum es geht, eine Zusammenfassung in ein bis zwei Sätzen und die Stellen, auf denen das beruht. Gesundheit, Religion, \
             Meinung oder andere geschützte Merkmale werden nicht herausgelesen. Es dient dazu, Ihnen früher zu helfen und den \
             Kundendienst besser zu machen."
                .to_owned()
        }),
        ("processor", "Wer es liest.", |_, settings| {
            match settings.scorer {
                ScorerKind::Local => "Ein Programm auf unseren eigenen Systemen.",
                ScorerKind::Claude => "Claude, ein Sprachmodell von Anthropic, in unserem Auftrag.",
                ScorerKind::Openai => "Ein Sprachmodell eines Anbieters, der in unserem Auftrag arbeitet.",
                ScorerKind::Cascade => {
                    "Ein Programm auf unseren eigenen Systemen; wo es unsicher ist, ein Sprachmodell eines Anbieters, der in unserem Auftrag \
                     arbeitet."
                }
            }
            .to_owned()
        }),
        ("seen_by", "Wer es sieht.", |tenant, settings| {
            let scores = match settings.visibility.policy {
                Policy::FullTransparency => "Werte sehen dieselben Menschen.",
                Policy::SupervisorOverlay => {
                    "Werte sehen Teamleitung und Qualitätssicherung und wer Ihr Konto betreut, nicht die Menschen, mit denen Sie sprechen."
                }
                Policy::PostConversation => {
                    "Werte sind zu sehen, wenn das Gespräch zu Ende ist, nicht währenddessen."
                }
                Policy::AggregateOnly => {
                    "Einzelne Werte sieht niemand: Sie werden nur in Gruppen betrachtet."
                }
                Policy::ThresholdRules => {
                    "Ein Wert ist nur zu sehen, wo er so niedrig oder so hoch ist, dass eine Regel ihn sichtbar macht."
                }
            };
            format!(
                "Texte sehen Menschen bei {tenant}, die Ihre Anliegen bearbeiten, deren Vorgesetzte, und Menschen, die prüfen, ob Texte richtig \
                 gelesen wurden. {scores} Wer ausgibt, was über Sie gespeichert ist, wird festgehalten."
            )
        }),
        ("told_to", "Wer davon erfährt.", |_, settings| {
            match (settings.emit_workflow_events, settings.dispatch_webhooks) {
                (true, true) => "Werte, mit einer Zusammenfassung, die einige Ihrer Worte zitieren kann, gehen an unsere eigenen Abläufe und an Systeme, die wir angebunden haben, etwa den Helpdesk. Ganze Texte nicht.",
                (true, false) => "Werte, mit einer Zusammenfassung, die einige Ihrer Worte zitieren kann, gehen an unsere eigenen Abläufe. Ganze Texte nicht, und kein anderes System erfährt von beidem.",
                (false, true) => "Werte, mit einer Zusammenfassung, die einige Ihrer Worte zitieren kann, gehen an Systeme, die wir angebunden haben, etwa den Helpdesk. Ganze Texte nicht.",
                (false, false) => "Weder Ihre Texte noch die Werte gehen an ein anderes System.",
            }
            .to_owned()
        }),
        ("kept", "Wie lange es bleibt.", |_, settings| {
            format!(
                "Texte und was sie zitiert werden {} Tage nach dem Eingang gelöscht, Werte nach {} Tagen, Hinweise an unsere Leute, die \
                 daraus entstanden, nach {} Tagen, die Aufzeichnung, wer was damit getan hat, nach {} Tagen. Summen, in denen niemand zu erkennen ist, können bleiben. Was wir nach dem Gesetz behalten müssen, \
                 bleibt, bis das endet.",
                settings.retention_text_days,
                settings.retention_scores_days,
                alerts_days(settings),
                settings.retention_audit_days
            )
        }),
        ("decisions", "Was danach entschieden wird.", |_, _| {
            "Ein Wert lässt einen Menschen früher hinsehen. Nichts, was Sie rechtlich oder ähnlich betrifft, wird allein danach entschieden: \
             kein Preis, keine Absage, kein Ende eines Vertrags. Wenn Sie meinen, dass ein Text falsch gelesen wurde, sieht ein Mensch ihn an \
             und berichtigt es."
                .to_owned()
        }),
        ("rights", "Was Sie verlangen können.", |tenant, _| {
            format!(
                "Schreiben Sie an {tenant}. Sie können widersprechen, und von da an wird nichts mehr bewertet, was Sie schreiben; eine Kopie von \
                 allem erhalten, was über Sie gespeichert ist; berichtigen lassen, was falsch ist; und alles löschen lassen. Sie können sich \
                 auch bei der Datenschutzbehörde beschweren."
            )
        }),
    ],
    passed: Passed {
        nobody: "Texte werden zum Lesen an niemanden weitergegeben.",
        anthropic: "Texte, die schon da waren, hat auch Claude, ein Sprachmodell von Anthropic, in unserem Auftrag gelesen.",
        provider: "Texte, die schon da waren, hat auch ein Sprachmodell eines Anbieters gelesen, der in unserem Auftrag arbeitet.",
        redacted: "Vorher werden E-Mail-Adressen, Telefon-, Karten- und Kontonummern, Passwörter und Ihr Name, soweit er bekannt ist, \
                   herausgenommen.",
    },
};
