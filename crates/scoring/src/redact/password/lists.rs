//! The words around passwords, in English, German, French, Spanish, Portuguese, Italian, Dutch and Polish; in lower case and without
//! accents.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::super::words::Lexicon;

/// What a word announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    /// Something a person chose: any characters.
    Password,
    /// A PIN or a one-time code: digits, perhaps letters among them.
    Code,
    /// Something a machine made: long.
    Key,
    /// A user name or an address, and behind it a password.
    Pair,
}

const PASSWORD: &str = "password, passwords, passwd, passcode, passphrase, pwd, pass word, pass, passwort, kennwort, pw, mot de passe, \
    mots de passe, mdp, contrasena, clave, senha, palavra passe, parola d ordine, psw, wachtwoord, ww, haslo, hasla, haslem";

const CODE: &str = "pin, pin code, pincode, pin number, pin nummer, geheimzahl, tan, otp, cvv, cvc, cvv2, security code, access code, \
    verification code, login code, sms code, confirmation code, one time code, authentication code, auth code, unlock code, \
    sicherheitscode, zugangscode, bestatigungscode, verifizierungscode, freischaltcode, prufziffer, code secret, code confidentiel, \
    code pin, code d acces, code de verification, code de securite, code de validation, code sms, cryptogramme, \
    codigo de acceso, codigo de verificacion, codigo de seguridad, codigo pin, codigo sms, codigo de acesso, codigo de verificacao, \
    codigo de seguranca, codice di accesso, codice di verifica, codice di sicurezza, codice segreto, codice pin, codice sms, \
    toegangscode, verificatiecode, beveiligingscode, inlogcode, bevestigingscode, kod dostepu, kod weryfikacyjny, kod pin, kod sms, \
    kod autoryzacyjny, kod bezpieczenstwa";

const KEY: &str = "api key, apikey, api token, api schlussel, api sleutel, cle api, clave api, clave de api, chave api, chave de api, \
    chiave api, klucz api, secret key, secret access key, access key, client secret, app secret, webhook secret, private key, \
    access token, auth token, refresh token, session token, bearer, bearer token, token, jeton, zugangstoken, authorization basic";

const PAIR: &str = "login, logins, login data, credentials, access data, zugangsdaten, logindaten, anmeldedaten, identifiants, \
    codes d acces, credenciales, datos de acceso, credenciais, dados de acesso, credenziali, dati di accesso, inloggegevens, \
    dane logowania, dane dostepowe";

/// A label without its last word.
pub(super) type Before = Vec<&'static str>;

/// The labels by their last word, those of more words first. Their words may be parted by a space, a dash or an apostrophe.
pub(super) static BY_LAST_WORD: LazyLock<HashMap<&'static str, Vec<(Before, Label)>>> = LazyLock::new(|| {
    let mut labels: HashMap<&str, Vec<(Before, Label)>> = HashMap::new();
    for (label, phrases) in
        [(Label::Password, PASSWORD), (Label::Code, CODE), (Label::Key, KEY), (Label::Pair, PAIR)]
    {
        for phrase in phrases.split(", ") {
            let mut before: Before = phrase.split(' ').collect();
            let Some(last) = before.pop() else { continue };
            labels.entry(last).or_default().push((before, label));
        }
    }
    for phrases in labels.values_mut() {
        phrases.sort_by_key(|(before, _)| std::cmp::Reverse(before.len()));
    }
    labels
});

/// No label has more words before its last.
pub(super) const LONGEST: usize = 3;

/// A word that ends so announces a password too: "Benutzerpasswort".
pub(super) const COMPOUNDS: [&str; 4] = ["passwort", "kennwort", "wachtwoord", "password"];

/// Whether `word` joins a label and its value: "is". Given with its accents, for "è" and "é" are verbs, and "e" is "and".
pub(super) fn is_verb(word: &str) -> bool {
    let lower = word.to_lowercase();
    matches!(
        lower.as_str(),
        "is" | "was"
            | "ist"
            | "war"
            | "lautet"
            | "lautete"
            | "est"
            | "était"
            | "etait"
            | "c'est"
            | "es"
            | "era"
            | "é"
            | "è"
            | "e'"
            | "luidt"
            | "jest"
            | "było"
            | "brzmi"
    )
}

/// Whether a new password may follow the word with the key `key`: "changed it to", "auf … geändert".
pub(super) fn is_preposition(key: &str) -> bool {
    PREPOSITIONS.contains(&key)
}

const PREPOSITIONS: [&str; 17] = [
    "to", "auf", "a", "na", "naar", "en", "in", "para", "como", "als", "as", "with", "mit", "avec", "con",
    "com", "met",
];

/// Whether a clause goes on after the word with the key `key`, about something else.
pub(super) fn is_conjunction(key: &str) -> bool {
    CONJUNCTIONS.contains(&key)
}

const CONJUNCTIONS: [&str; 17] = [
    "and", "but", "und", "aber", "et", "mais", "y", "pero", "e", "mas", "ma", "en", "maar", "i", "ale",
    "login", "user",
];

/// What becomes of passwords, and what else is said of them: no passwords.
pub(super) static STATES: LazyLock<Lexicon> = LazyLock::new(|| {
    Lexicon::of(
        "wrong incorrect invalid correct right expired changed reset blocked locked forgotten lost gone weak strong safe secure unsafe \
         insecure rejected accepted refused working fine okay good great same different empty missing required needed unknown known \
         secret private compromised stolen hacked leaked useless ridiculous terrible annoying hard difficult easy simple short long \
         here there below above attached please again sensitive impossible possible broken available valid temporary new old help \
         thanks thank none nothing what why where when never always not recovery protected manager field page link \
         falsch ungultig abgelaufen gesperrt richtig vergessen zuruckgesetzt korrekt unsicher sicher geandert gehackt bekannt unbekannt \
         verloren leer lang kurz schwach stark bitte danke nicht hilfe unmoglich mist weg geht neu alt erforderlich notig fehlt \
         invalide expire refuse oublie perdu faux errone bloque mauvais valide correcte incorrecte sur merci vide perime obligatoire \
         nouveau incorrecta invalida erronea caducada bloqueada olvidada correcta segura nueva vieja mala buena gracias ayuda vacia \
         falsa debil errada incorreta expirada esquecida certa obrigado obrigada ajuda vazia fraca forte invalido errata sbagliata \
         scaduta bloccata corretta grazie aiuto vuota debole sicura nuova vecchia giusta dimenticata verkeerd onjuist verlopen \
         geblokkeerd vergeten fout ongeldig juist bedankt leeg zwak sterk nieuw oud veilig kwijt nieprawidlowe bledne niepoprawne \
         wygaslo zablokowane dobre stare nowe dziekuje prosze puste slabe silne poprawne wazne niewazne zapomniane",
    )
});

/// How participles and adjectives begin and end.
pub(super) static PARTICIPLES: LazyLock<Lexicon> = LazyLock::new(|| {
    Lexicon::of(
        "*ed *ing *able *ful *less *ous *lich *bar *sam *iert *ado *ada *ido *ida *ato *ata *uto *uta *ito *ita *ly ge*",
    )
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_found_by_their_last_word() {
        let key = &BY_LAST_WORD["key"];
        assert_eq!(key[0], (vec!["secret", "access"], Label::Key), "the longest comes first");
        assert!(BY_LAST_WORD["password"].iter().any(|(before, _)| before.is_empty()));
        let longest = BY_LAST_WORD.values().flatten().map(|(before, _)| before.len()).max();
        assert!(longest.is_some_and(|longest| longest <= LONGEST));
    }

    #[test]
    fn accents_tell_verbs_from_conjunctions() {
        assert!(is_verb("É") && is_verb("è") && !is_verb("e") && is_conjunction("e"));
        assert!(is_preposition("auf") && !is_preposition("is"));
    }
}
