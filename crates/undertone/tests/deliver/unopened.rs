//! An address that does not open any more: what is meant for it waits where everybody can see it, and goes on when the key is back.

use std::time::Duration;

use serde_json::{Value, json};
use undertone_testkit::process::{call, run, until};
use undertone_testkit::receiver::{Receiver, Reply};

use super::{Site, program};

impl Site {
    /// Restarts it with these master keys: one that seals, and one that opens beside it. The files are in the folder.
    fn with_keys(&mut self, current: Option<&str>, previous: Option<&str>) {
        let path = self.folder.path().join("undertone.toml");
        let config = std::fs::read_to_string(&path).unwrap();
        let others = config.lines().filter(|line| !line.contains("master_key_file"));
        let named = |setting: &str, file: Option<&str>| {
            file.map(|file| format!("{setting} = '{}'", self.folder.path().join(file).display()))
        };
        let keys = [named("master_key_file", current), named("previous_master_key_file", previous)];
        let lines: Vec<String> = others.map(str::to_owned).chain(keys.into_iter().flatten()).collect();
        std::fs::write(&path, lines.join("\n")).unwrap();
        self.crash();
    }

    fn say(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let (status, text) = call(&self.service.address, &self.key, (method, path), body);
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    fn waiting(&self, id: &str) -> usize {
        let page = self.get(&format!("/api/v1/destinations/{id}/deliveries?state=pending"));
        page["deliveries"].as_array().unwrap().len()
    }
}

#[test]
fn what_is_meant_for_an_address_that_does_not_open_waits_and_goes_on_when_the_key_is_back() {
    let mut site = Site::open();
    let (shut, open) = (Receiver::start(|_| Reply::text(204, "")), Receiver::start(|_| Reply::text(204, "")));
    let id = site.destination("Shut", &shut.address);
    let path = format!("/api/v1/destinations/{id}");
    assert_eq!(site.get(&path)["problem"], Value::Null);
    let other = site.folder.path().join("other.key").display().to_string();
    let _ = run(program(), &["secrets", "new-key", &other]);

    // Another master key, by mistake.
    site.with_keys(Some("other.key"), None);
    let _ = site.destination("Open", &open.address);
    for number in 0..6 {
        assert!(site.switch(number % 2 == 1));
    }
    until("nobody else waits", Duration::from_secs(20), || open.count() == 6);
    assert_eq!((shut.count(), site.waiting(&id)), (0, 6));
    let told = site.get(&path);
    let why = told["problem"].as_str().unwrap();
    assert!(why.contains("was sealed with the master key") && why.contains("set it anew"), "{told}");
    assert_eq!((&told["active"], &told["failing_since"]), (&json!(true), &Value::Null), "{told}");
    let all = site.get("/api/v1/destinations");
    let problems = all["destinations"].as_array().unwrap().iter().filter(|one| !one["problem"].is_null());
    assert_eq!(problems.count(), 1);
    for word in ["test", "rotate-key"] {
        let (status, refused) = site.say("POST", &format!("{path}/{word}"), &Value::Null);
        assert_eq!((status, &refused["detail"]), (409, &told["problem"]), "{word}: {refused}");
    }
    let doctor = site.command(&["doctor"]).1;
    assert!(doctor.contains("LOOK  acme: destination “Shut”: nothing can be sent to it: "), "{doctor}");
    assert!(!doctor.contains("“Open”: nothing can be sent"), "{doctor}");
    let listed = site.done(&["destinations", "list", "acme"]);
    assert_eq!(listed.matches("nothing can be sent to it: the destination's address was sealed").count(), 1);

    // What is no secret can be changed all the same; of what is, all or nothing.
    let (status, named) = site.say("PUT", &path, &json!({"name": "Closed"}));
    assert_eq!((status, &named["name"], &named["problem"]), (200, &json!("Closed"), &told["problem"]));
    let (status, refused) = site.say("PUT", &path, &json!({"url": shut.address}));
    assert_eq!((status, &refused["errors"][0]["field"]), (422, &json!("key")), "{refused}");

    // None at all, and both.
    site.with_keys(None, None);
    assert!(site.get(&path)["problem"].as_str().unwrap().contains("was not given"));
    assert_eq!((shut.count(), site.waiting(&id)), (0, 6));
    site.with_keys(Some("other.key"), Some("master.key"));
    until("it goes on", Duration::from_secs(20), || shut.count() == 6);
    assert_eq!(site.get(&path)["problem"], Value::Null);
    until("nothing waits", Duration::from_secs(5), || site.waiting(&id) == 0);
}

#[test]
fn an_address_that_does_not_open_is_set_anew() {
    let mut site = Site::open();
    let (old, new) = (Receiver::start(|_| Reply::text(204, "")), Receiver::start(|_| Reply::text(204, "")));
    let id = site.destination("Hook", &old.address);
    let other = site.folder.path().join("other.key").display().to_string();
    let _ = run(program(), &["secrets", "new-key", &other]);
    site.with_keys(Some("other.key"), None);
    assert!(site.switch(false));
    until("it waits", Duration::from_secs(20), || site.waiting(&id) == 1);
    let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let anew = json!({"url": new.address, "key": key});
    let (status, told) = site.say("PUT", &format!("/api/v1/destinations/{id}"), &anew);
    assert_eq!((status, &told["problem"]), (200, &Value::Null), "{told}");
    until("what waited arrives", Duration::from_secs(20), || new.count() == 1);
    assert_eq!(old.count(), 0);
    let (signed, body) = (new.taken().remove(0), standardwebhooks::Webhook::new(key).unwrap());
    let mut headers = axum::http::HeaderMap::new();
    for (name, value) in signed.headers.iter().filter(|(name, _)| name.starts_with("webhook-")) {
        headers.insert(axum::http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
    }
    assert!(body.verify(&signed.body, &headers).is_ok());
}
