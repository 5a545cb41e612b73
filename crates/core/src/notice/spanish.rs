//! Spanish.

use super::{Passed, Words, alerts_days, channels};
use crate::verdict::ScorerKind;
use crate::visibility::Policy;

pub(super) const WORDS: Words = Words {
    notice: |tenant, settings, also| {
        let who = match settings.scorer {
            ScorerKind::Local | ScorerKind::Cascade if also => {
                "Esto ocurre en nuestros propios sistemas; su texto también puede enviarse al proveedor de un modelo de lenguaje, sin los datos \
                 de contacto que se reconocen en él."
            }
            ScorerKind::Local => {
                "Esto ocurre en nuestros propios sistemas; su texto no se entrega a nadie para ello."
            }
            ScorerKind::Claude | ScorerKind::Openai => {
                "Para ello su texto se envía al proveedor de un modelo de lenguaje, sin los datos de contacto que se reconocen en él."
            }
            ScorerKind::Cascade => {
                "Cuando nuestro programa no está seguro, su texto se envía al proveedor de un modelo de lenguaje, sin los datos de contacto que se \
                 reconocen en él."
            }
        };
        format!(
            "{tenant} hace que un programa lea lo que usted escribe a atención al cliente, para saber qué le parece nuestro servicio y que una \
             persona le ayude antes cuando haga falta. {who} Los textos se borran a los {} días. Puede oponerse en cualquier momento y \
             preguntar qué se guarda sobre usted.",
            settings.retention_text_days
        )
    },
    sections: [
        ("collected", "Qué se recoge.", |tenant, settings| {
            format!(
                "Lo que usted escribe a {tenant}, o lo que se anota sobre un contacto con usted, por estas vías: {}. Además: cuándo, en qué \
                 conversación y con quién fue, y su nombre, correo electrónico, teléfono y empresa en la medida en que nos los haya dado. \
                 Solo se mira el texto: ni la voz, ni la velocidad al teclear, ni imágenes.",
                channels(settings)
            )
        }),
        ("read", "Qué se lee en ello.", |_, _| {
            "Cómo suena un texto: una puntuación de -100 a 100, positivo, neutro, negativo o mixto, el sentimiento más fuerte, la urgencia, de \
             qué trata, un resumen de una o dos frases y las palabras en que se basa. No se deducen salud, religión, opiniones ni otros \
             rasgos protegidos. Sirve para ayudarle antes y para mejorar el servicio."
                .to_owned()
        }),
        ("processor", "Quién lo lee.", |_, settings| {
            match settings.scorer {
                ScorerKind::Local => "Un programa en nuestros propios sistemas.",
                ScorerKind::Claude => "Claude, un modelo de lenguaje de Anthropic, por encargo nuestro.",
                ScorerKind::Openai => "Un modelo de lenguaje de un proveedor que trabaja por encargo nuestro.",
                ScorerKind::Cascade => {
                    "Un programa en nuestros propios sistemas; cuando no está seguro, un modelo de lenguaje de un proveedor que trabaja por encargo \
                     nuestro."
                }
            }
            .to_owned()
        }),
        ("seen_by", "Quién lo ve.", |tenant, settings| {
            let scores = match settings.visibility.policy {
                Policy::FullTransparency => "Las puntuaciones las ven las mismas personas.",
                Policy::SupervisorOverlay => {
                    "Las puntuaciones las ven los responsables de equipo, el control de calidad y quien lleva su cuenta, no las personas con las que habla."
                }
                Policy::PostConversation => {
                    "Las puntuaciones se ven cuando la conversación ha terminado, no durante ella."
                }
                Policy::AggregateOnly => "Nadie ve puntuaciones sueltas: solo se miran en grupos.",
                Policy::ThresholdRules => {
                    "Una puntuación solo se ve cuando es tan baja o tan alta que una regla la hace visible."
                }
            };
            format!(
                "Los textos los ven las personas de {tenant} que atienden sus consultas, sus responsables, y quienes comprueban que los textos se \
                 leyeron bien. {scores} Queda registrado quién exporta lo que se guarda sobre usted."
            )
        }),
        ("told_to", "A quién se comunica.", |_, settings| {
            match (settings.emit_workflow_events, settings.dispatch_webhooks) {
                (true, true) => "Las puntuaciones, con un resumen que puede citar algunas de sus palabras, llegan a nuestros propios procesos y a sistemas que hemos conectado, como el de soporte. Los textos enteros no.",
                (true, false) => "Las puntuaciones, con un resumen que puede citar algunas de sus palabras, llegan a nuestros propios procesos. Los textos enteros no, y ningún otro sistema sabe de ellos.",
                (false, true) => "Las puntuaciones, con un resumen que puede citar algunas de sus palabras, llegan a sistemas que hemos conectado, como el de soporte. Los textos enteros no.",
                (false, false) => "Ni sus textos ni las puntuaciones llegan a ningún otro sistema.",
            }
            .to_owned()
        }),
        ("kept", "Cuánto tiempo se guarda.", |_, settings| {
            format!(
                "Los textos, y lo que los cita, se borran {} días después de llegar; las puntuaciones, a los {} días; los avisos a nuestro equipo \
                 que surgieron de ellas, a los {} días; el registro de quién hizo qué con todo ello, a los {} días. Las sumas en las que no se reconoce a nadie pueden quedar. Lo que la ley obliga a guardar queda \
                 hasta que eso termine.",
                settings.retention_text_days,
                settings.retention_scores_days,
                alerts_days(settings),
                settings.retention_audit_days
            )
        }),
        ("decisions", "Qué se decide con ello.", |_, _| {
            "Una puntuación hace que una persona mire antes. Nada que le afecte jurídicamente o de modo parecido se decide solo con ella: ni un \
             precio, ni un rechazo, ni el fin de un contrato. Si cree que un texto se leyó mal, una persona lo mira y lo corrige."
                .to_owned()
        }),
        ("rights", "Qué puede pedir.", |tenant, _| {
            format!(
                "Escriba a {tenant}. Puede oponerse, y desde ese momento no se puntúa nada de lo que escriba; recibir una copia de todo lo que se \
                 guarda sobre usted; hacer corregir lo que esté mal; y hacer borrar todo. También puede reclamar ante la autoridad de \
                 protección de datos."
            )
        }),
    ],
    passed: Passed {
        nobody: "Los textos no se entregan a nadie más para que los lea.",
        anthropic: "Textos que ya estaban los leyó también Claude, un modelo de lenguaje de Anthropic, por encargo nuestro.",
        provider: "Textos que ya estaban los leyó también un modelo de lenguaje de un proveedor que trabaja por encargo nuestro.",
        redacted: "Antes se quitan direcciones de correo, números de teléfono, tarjeta y cuenta, contraseñas y su nombre en la medida en que \
                   se conoce.",
    },
};
