use super::*;

fn told<'t>(text: &'t str, names: &[&str]) -> Vec<&'t str> {
    let names = Names::of(names);
    names.find(text).iter().filter_map(|f| f.span.of(text)).collect()
}

fn values(text: &str, names: &[&str]) -> Vec<String> {
    let names = Names::of(names);
    names
        .find(text)
        .into_iter()
        .filter_map(|f| match f.value {
            Value::Text(value) => Some(value),
            Value::Phone(_) => None,
        })
        .collect()
}

#[test]
fn names_are_found_whole_and_in_parts() {
    for (text, found) in [
        ("I am Anna Schmidt.", vec!["Anna Schmidt"]),
        ("anna here, ask SCHMIDT", vec!["anna", "SCHMIDT"]),
        ("Schmidt, Anna", vec!["Schmidt, Anna"]),
        ("Anna M. Schmidt called", vec!["Anna M. Schmidt"]),
        ("Anna Maria Schmidt called", vec!["Anna", "Schmidt"]),
        ("anna.schmidt or anna_schmidt84", vec!["anna.schmidt", "anna_schmidt"]),
        ("user annaschmidt", vec!["annaschmidt"]),
        ("Anna's parcel, Schmidts Paket", vec!["Anna", "Schmidts"]),
        ("Annabel, Goldschmidt, Savanna", vec![]),
        ("Ask Anna. Schmidt knows.", vec!["Anna", "Schmidt"]),
        ("", vec![]),
    ] {
        assert_eq!(told(text, &["Dr. Anna Schmidt"]), found, "{text}");
    }
    assert_eq!(told("Dr. Smith, customer support team", &["Support Team", "Dr."]), Vec::<&str>::new());
}

#[test]
fn accents_and_umlauts_make_no_difference() {
    for (known, text) in [
        ("Jürgen Müller", "juergen mueller"),
        ("Jürgen Müller", "Jurgen MÜLLER"),
        ("Juergen Mueller", "Jürgen Müller"),
        ("José Núñez", "jose nunez"),
        ("Jose Nunez", "Jose\u{301} Núñez"),
        ("Łukasz Wójcik", "Lukasz Wojcik"),
        ("Søren Åberg", "Soeren Aaberg"),
        ("Иван Петров", "ИВАН ПЕТРОВ"),
        ("Γιώργος Παππάς", "γιωργος παππασ"),
    ] {
        assert_eq!(told(text, &[known]), [text], "{known}");
    }
    assert_eq!(told("dull manul michal", &["Manuel Michael"]), Vec::<&str>::new());
}

#[test]
fn particles_belong_to_a_name_only_between_its_words() {
    let names = &["Jan van der Berg", "Maria de la Cruz"];
    assert_eq!(
        told("Jan van der Berg; the van der hond; Maria de la Cruz", names),
        ["Jan van der Berg", "Maria de la Cruz"]
    );
    assert_eq!(told("pedido de Maria de la tienda", names), ["Maria"]);
    assert_eq!(told("O'Brien and d'Angelo", &["Sean O'Brien", "Lia D'Angelo"]), ["O'Brien", "d'Angelo"]);
}

#[test]
fn names_that_are_words_need_more() {
    let names = &["Will May"];
    for (text, found) in [
        ("will you help me, I may leave", vec![]),
        ("Will you help? May I ask?", vec![]),
        ("WILL YOU EVER ANSWER", vec![]),
        ("Thanks Will, bye", vec!["Will"]),
        ("I asked Will about it", vec!["Will"]),
        ("Hi Will!", vec!["Will"]),
        ("Dear Mr. May", vec!["May"]),
        ("Will May is my agent", vec!["Will May"]),
        ("WILL MAY IS HERE", vec!["WILL MAY"]),
        ("May, Will", vec!["May, Will"]),
        ("it was due on 3 May and in May 2025", vec![]),
        ("broken since May, in April and May, at the end of May", vec![]),
        ("I asked May about it", vec!["May"]),
        ("Kind regards,\nWill", vec!["Will"]),
        ("Will", vec!["Will"]),
        ("ok.\n- Will -\nbye", vec!["Will"]),
        ("will may", vec![]),
    ] {
        assert_eq!(told(text, names), found, "{text}");
    }
    for (text, found) in [
        ("may Anna call me", vec!["Anna"]),
        ("May Anna call me", vec!["May Anna"]),
        ("anna may is my name", vec!["anna may"]),
        ("Anna may call", vec!["Anna"]),
    ] {
        assert_eq!(told(text, &["Anna May"]), found, "{text}");
    }
}

#[test]
fn short_names_need_an_introduction_or_the_other_name() {
    let names = &["Li Wei", "Bo Xu"];
    for (text, found) in [
        ("Li Wei wrote", vec!["Li Wei"]),
        ("li wei wrote", vec!["li wei"]),
        ("ask Wei, not li", vec!["Wei"]),
        ("Hi Bo, thanks", vec!["Bo"]),
        ("Bo Xu", vec!["Bo Xu"]),
        ("bo xu", vec![]),
        ("I like Bo", vec![]),
    ] {
        assert_eq!(told(text, names), found, "{text}");
    }
}

#[test]
fn polish_endings_count_in_polish_texts() {
    let names = &["Anna Kowalska", "Piotr Kowalski", "Marek Wróbel", "Kasia Nowak"];
    for text in ["Annę", "Annie", "Kowalskiej", "Piotrowi", "Kowalskiego", "Markiem", "Kasi", "Nowakiem"] {
        let sentence = format!("Rozmawiałem, że {text} nie było");
        assert_eq!(told(&sentence, names), [text]);
    }
    assert_eq!(told("Annie and Piotra", names), Vec::<&str>::new(), "other languages");
    assert_eq!(told("też anny", names), Vec::<&str>::new(), "no capital");
    assert_eq!(values("Kowalskiego już i Kowalski", names), ["kowalski", "kowalski"]);
}

#[test]
fn one_name_has_one_value() {
    let names = &["Anna Schmidt", "Jürgen Müller"];
    assert_eq!(
        values("Anna Schmidt; SCHMIDT, ANNA; annaschmidt", names),
        ["anna schmidt", "anna schmidt", "anna schmidt"]
    );
    assert_eq!(values("Müller, bye. Mueller! Müllers?", names), ["muller", "muller", "muller"]);
    assert_eq!(values("Anna; Schmidt", names), ["anna", "schmidt"]);
}

#[test]
fn names_in_scripts_without_spaces_are_found_inside_words() {
    let names = &["王小明", "김 민수", "สมชาย ใจดี"];
    assert_eq!(told("我是王小明先生", names), ["王小明"]);
    assert_eq!(told("김민수가 민수에게", names), ["김민수", "민수"]);
    assert_eq!(told("ผมชื่อสมชายครับ", names), ["สมชาย"]);
    assert_eq!(told("王明 김", names), Vec::<&str>::new());
}

#[test]
fn the_same_name_over_and_over_is_found_each_time() {
    let text = "Anna ".repeat(30);
    let covered: usize =
        told(&text, &["Anna Schmidt"]).iter().map(|found| found.matches("Anna").count()).sum();
    assert_eq!(covered, 30);
}
