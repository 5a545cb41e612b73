//! What the words before a number say it is.

use std::sync::LazyLock;

use super::words::{Lexicon, is_letter, key};

/// So many words are looked at, at most.
const WORDS: usize = 6;
/// No word that matters is longer than so many letters.
const LONGEST: usize = 32;
/// So many characters may stand between two words.
const GAP: usize = 8;

/// What a number is, going by the words before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// A way to reach somebody.
    Contact,
    /// An order, a parcel, an article, an account.
    Order,
}

/// What a word means for the search.
pub(super) enum Says<T> {
    /// The search ends here.
    This(T),
    /// Ask the word before.
    Nothing,
    /// The search ends without a result.
    Stop,
}

/// Asks `judge` for the keys of the words before byte `at` of `text`, nearest first, a handful of them, as long as they belong to one sentence.
pub(super) fn before<T>(text: &str, at: usize, judge: impl Fn(&str) -> Says<T>) -> Option<T> {
    let mut rest = text.get(..at)?;
    for _ in 0..WORDS {
        let (word, left) = last_word(rest)?;
        let key = key(word);
        // "Customer: …" at the beginning of a line says who speaks.
        let speaks = rest[left.len() + word.len()..].trim_start_matches([' ', ']', '*']).starts_with(':')
            && left.trim_end_matches([' ', '[', '*']).chars().next_back().is_none_or(|c| c == '\n');
        if speaks && SPEAKERS.has(&key) {
            return None;
        }
        match judge(&key) {
            Says::This(result) => return Some(result),
            Says::Nothing => rest = left,
            Says::Stop => return None,
        }
    }
    None
}

/// The last word of `text` and what stands before it; `None` where a sentence ends in between.
fn last_word(text: &str) -> Option<(&str, &str)> {
    let belongs = |c: char| is_letter(c) || c.is_numeric();
    let (mut end, mut stopped) = (None, false);
    let mut skipped = text.char_indices().rev();
    for (at, c) in skipped.by_ref().take(GAP) {
        match c {
            _ if belongs(c) => {
                end = Some(at + c.len_utf8());
                break;
            }
            '!' | '?' | ';' | '…' | super::fold::BLANK => return None,
            // A heading and what it announces may stand on two lines.
            '\n' | '\r' if !text[..at].trim_end().ends_with([':', '\n', '\r']) => return None,
            '.' => stopped = true,
            _ => {}
        }
    }
    let until = text.get(..end?)?;
    let length =
        until.chars().rev().take(LONGEST + 1).take_while(|c| belongs(*c)).map(char::len_utf8).sum::<usize>();
    let (left, word) = until.split_at_checked(until.len() - length)?;
    let letters = word.chars().count();
    // A full stop behind a short word marks an abbreviation: "Tel.", "Nr.".
    let ends_sentence = stopped && letters > 5;
    (letters <= LONGEST && !ends_sentence).then_some((word, left))
}

/// What the number at byte `at` of `text` is, if the words before say so; the nearer one decides.
pub(super) fn subject(text: &str, at: usize) -> Option<Subject> {
    let near = text.get(..at)?.trim_end_matches([' ', '(']);
    if near.ends_with('#') {
        return Some(Subject::Order);
    }
    before(text, at, |word| {
        if LINKS.has(word) {
            Says::Nothing
        } else if CONTACT.has(word) {
            Says::This(Subject::Contact)
        } else if ORDER.has(word) {
            Says::This(Subject::Order)
        } else {
            Says::Stop
        }
    })
}

/// Whether `word` names something that is counted, filed or sold, and so has numbers of its own.
pub(super) fn is_order(word: &str) -> bool {
    !CONTACT.has(word) && ORDER.has(word)
}

/// Whether `word` may stand between a heading and the number it announces: "number", "is", "mein".
pub(super) fn is_link(word: &str) -> bool {
    LINKS.has(word)
}

static CONTACT: LazyLock<Lexicon> = LazyLock::new(|| {
    Lexicon::of(
        "tel telf tlf tfno tfn tlm tlmv fon ph mob cel cell gsm sms mms whatsapp wa signal telegram viber fax telefax hotline \
         call* phone* telephon* telefon* telefoon* telef mobil* cellphone* dial ring reach reached reachable contact* text \
         handy* rufnummer* ruckruf* durchwahl* anruf* angerufen ruf rufen rufe ruft zuruckrufen erreich* kontakt* festnetz* \
         portable joindre joignable joins appel* rappel* fixe contactez \
         movil* llam* celular* fijo contactar contacto marcar \
         ligar liga ligue liguem ligacao telemovel* contato* contate contatar fone zap \
         cellulare chiam* richiam* recapito contatt* \
         bel bellen belt terugbel* bereik* mobiel* nummertje *telefoonnummer \
         komork* zadzwon* dzwon* oddzwon* przedzwon* stacjonarn* \
         *telefonnummer *mobilnummer *handynummer *telefon *handy",
    )
});

static ORDER: LazyLock<Lexicon> = LazyLock::new(|| {
    Lexicon::of(
        "order* invoice* ticket* case ref refs reference* track* serial* article* item items customer* client* account* acct \
         contract* policy meter* ean isbn issn sku part model* parcel* package* shipment* shipping shipped delivery imei iccid po rma \
         transaction* booking* reservation* confirmation receipt* purchase* product* consignment waybill awb claim* member* \
         loyalty contribution* registration vat tax id ids batch lot barcode code codes coupon* voucher* gift id-number incident* request* ssn \
         bestell* auftrag* rechnung* kunde* vertrag* sendung* paket* artikel* seriennummer* serien* sn zahler* vorgang* \
         aktenzeichen az referenz* buchung* quittung* beleg* charge* konto* mitglied* police* versicherung* steuer* ust \
         fahrgestell* teile* storno* lieferschein* liefer* gerate* kassenbon* gutschein* fall \
         commande* facture* colis suivi dossier* contrat* serie* compte* billet* compteur* lot produit* siret siren livraison \
         abonnement* adherent sinistre requete \
         pedido* factura* seguimiento envio* referencia* cliente* contrato* articulo* expediente* cuenta* reserva* guia \
         albaran* incidencia* poliza* contador localizador compra* producto* caso nif dni codigo* socio siniestro paquete \
         encomenda* fatura* rastre* protocolo* conta chamado* nota apolice* boleto* produto* cpf cnpj nif objeto processo \
         ordine* ordini fattura* spedizione* pratica* tracci* codice* matricola* conto prenotazion* polizza* contatore* \
         riferimento* articolo* pacco* tessera scontrino \
         bestel* bestelling* factuur* klant* zending* pakket* referentie* rekening* polis* meterstand lotnummer* \
         ordernummer* reservering* lidmaatschap* kassabon* dossiernummer* \
         zamowien* faktur* przesylk* paczk* seryjn* umow* klient* zgloszen* reklamac* konta rezerwac* licznik* spraw* artykul* \
         parti* paragon* nip regon pesel produkt* zlecen*",
    )
});

/// Those who speak in a transcript.
static SPEAKERS: LazyLock<Lexicon> = LazyLock::new(|| {
    Lexicon::of(
        "customer client clients caller user visitor kunde kundin anrufer cliente utente klant beller klient klientka",
    )
});

static LINKS: LazyLock<Lexicon> = LazyLock::new(|| {
    Lexicon::of(
        "i you we sie ich wir vous je nous yo eu io ja ik u number numbers no nr nrs num nums nummer nummern numero numeros numer numeru nro n s is was are be at on my our your the to me \
         us back please under via of for with by a an it its this that again direct directly now here new old \
         ist war lautet unter der die das dem den mein meine meiner meinem unser unsere unserer mich uns bitte mit von auf an zuruck \
         hier neue neuen alte dieser diese folgender folgenden \
         est au aux le la les l du de d des mon ma mes notre votre sur moi nous svp sous suivant merci par \
         es el al mi mis nuestro en con del por favor este esta siguiente \
         e o ao os as meu minha nosso para pelo pela pra em do da no na favor seguinte \
         il lo i gli mio mia nostro sul per di dell al alla questo seguente favore \
         het een mijn mij ons onze op van met naar dit deze volgende graag \
         jest to moj moja moje nasz pod na nr prosze do z mi ten ta nastepujacy",
    )
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearer_word_decides() {
        for (text, subject_of_end) in [
            ("call me back at ", Some(Subject::Contact)),
            ("My order, call ", Some(Subject::Contact)),
            ("please call about order number ", Some(Subject::Order)),
            ("Bitte rufen Sie mich unter ", Some(Subject::Contact)),
            ("Sie erreichen mich unter der Nummer: ", Some(Subject::Contact)),
            ("Tel. Nr. ", Some(Subject::Contact)),
            ("Meine Bestellnummer lautet ", Some(Subject::Order)),
            ("numéro de téléphone : ", Some(Subject::Contact)),
            ("Numer zamówienia to ", Some(Subject::Order)),
            ("call five times ", None),
            ("ticket (#", Some(Subject::Order)),
            ("Phone:\n", Some(Subject::Contact)),
            ("My phone\n", None),
            ("You never call! ", None),
            ("You never phoned. ", None),
            ("Agent: and?\nClient: ", None),
            ("[Kunde]: meine Nummer ist ", None),
            ("Your client: ", Some(Subject::Order)),
            ("a ", None),
            ("", None),
        ] {
            assert_eq!(subject(text, text.len()), subject_of_end, "{text:?}");
        }
    }

    #[test]
    fn only_a_handful_of_words_of_a_bounded_length_are_looked_at() {
        let far = format!("call {}", "to ".repeat(WORDS));
        assert_eq!(subject(&far, far.len()), None);
        let near = format!("call {}", "to ".repeat(WORDS - 1));
        assert_eq!(subject(&near, near.len()), Some(Subject::Contact));
        let long = format!("call{} ", "e".repeat(LONGEST));
        assert_eq!(subject(&long, long.len()), None);
        let gap = format!("call{}", " ".repeat(GAP));
        assert_eq!(subject(&gap, gap.len()), None);
        assert_eq!(subject("call é", 6), None, "inside a character");
    }

    #[test]
    fn what_has_numbers_of_its_own() {
        assert!(
            is_order("bestellung") && is_order("tracking") && !is_order("telefon") && !is_order("contact")
        );
        assert!(is_link("nummer") && !is_link("order"));
    }
}
