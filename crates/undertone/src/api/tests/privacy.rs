//! The rights of customers, as whoever answers for them uses them.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};
use undertone_core::backfill::Asked;
use undertone_core::verdict::ScorerKind;

use super::document::assert_documented;
use super::{Answer, Bench};

const WORD: &str = "quoll4418";

/// Two interactions of ana, one of bo.
async fn bench_with_customers() -> Bench {
    let bench = Bench::open().await;
    let text =
        format!("{WORD} waits for the third week, I am about to give up on you. Berta Baumann promised it.");
    for (id, customer, text) in [
        (
            "1",
            json!({"id": "ana", "name": format!("{WORD} Person"), "email": format!("{WORD}@example.com")}),
            text.as_str(),
        ),
        ("2", json!("ana"), "And still nothing at all, this is a disgrace and I am furious."),
        ("3", json!({"id": "bo", "name": "Bo"}), "Thank you so much, that was quick and very kind!"),
    ] {
        let item = json!({"external_id": id, "text": text, "customer": customer, "conversation": format!("talk-{id}"),
            "agent": {"id": "berta", "name": "Berta Baumann", "email": "berta@acme.example"}});
        assert_eq!(bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&item)).await.status, 201);
    }
    bench.settled(&bench.mine).await;
    bench
}

async fn done(bench: &Bench, method: &str, path: &str, documented: &str, body: Option<Value>) -> Answer {
    let document: Value = serde_json::from_str(crate::api::openapi::DOCUMENT).unwrap();
    let answer = bench.call(method, path, "ut_mine", body.as_ref()).await;
    assert_documented(&document, method, documented, &answer);
    answer
}

#[tokio::test]
async fn a_customer_is_erased_and_leaves_a_receipt() {
    let bench = bench_with_customers().await;
    let ana = bench.get("/api/v1/customers/ana").await["id"].as_str().unwrap().to_owned();
    let one = "/api/v1/customers/{id}";
    let erased = done(&bench, "DELETE", "/api/v1/customers/ana", one, None).await;
    let receipt = erased.json();
    assert_eq!(
        (erased.status, &receipt["stage"], &receipt["customer_id"]),
        (200, &json!("done"), &json!(ana))
    );
    assert_eq!((&receipt["removed"]["interactions"], &receipt["removed"]["texts"]), (&json!(2), &json!(2)));
    assert!(!erased.text.contains(WORD));
    assert_eq!(done(&bench, "GET", "/api/v1/customers/ana", one, None).await.status, 404);
    assert_eq!(done(&bench, "DELETE", "/api/v1/customers/ana", one, None).await.status, 404);
    let again = done(&bench, "DELETE", &format!("/api/v1/customers/{ana}"), one, None).await;
    assert_eq!((again.status, again.json()), (200, receipt.clone()), "by our id it is the same erasure");
    assert_eq!(bench.store().verify(bench.mine.id).await.unwrap(), []);
    assert_eq!(bench.get("/api/v1/overview").await["all_time"]["scored"], 1);
    let list = done(&bench, "GET", "/api/v1/erasures", "/api/v1/erasures", None).await.json();
    assert_eq!(list["items"][0]["id"], receipt["id"]);
    let path = format!("/api/v1/erasures/{}", receipt["id"].as_str().unwrap());
    done(&bench, "GET", &path, "/api/v1/erasures/{id}", None).await;
    assert_eq!(bench.call("GET", &path, "ut_theirs", None).await.status, 404, "another tenant's");
    assert_eq!(done(&bench, "GET", "/api/v1/erasures/x", "/api/v1/erasures/{id}", None).await.status, 404);

    // No route tells of them any more, and the file's bytes neither, once the service has scrubbed it.
    for path in ["/api/v1/interactions", "/api/v1/escalations", "/api/v1/overview", "/api/v1/audit"] {
        let answer = bench.call("GET", path, "ut_mine", None).await;
        assert!(!answer.text.contains(WORD), "{path}");
    }
    for _ in 0..600 {
        if bench.get(&path).await["scrubbed_at"].is_string() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    for file in std::fs::read_dir(bench.folder.path()).unwrap() {
        let file = file.unwrap().path();
        let bytes = std::fs::read(&file).unwrap();
        let found = bytes.windows(WORD.len()).any(|window| window.eq_ignore_ascii_case(WORD.as_bytes()));
        assert!(!found, "{}", file.display());
    }
}

#[tokio::test]
async fn everybody_with_an_address_is_erased_unless_held() {
    let bench = bench_with_customers().await;
    let (erasures, hold) = ("/api/v1/erasures", "/api/v1/customers/{id}/legal-hold");
    let ask = async |body: Value| done(&bench, "POST", erasures, erasures, Some(body)).await;
    for wrong in [
        json!({}),
        json!({"id": "a", "email": "b"}),
        json!({"phone": "12"}),
        json!({"email": " "}),
        json!({"name": "x"}),
    ] {
        assert_eq!(ask(wrong.clone()).await.status, 422, "{wrong}");
    }
    let nobody = ask(json!({"email": "nobody@example.com"})).await;
    assert_eq!((nobody.status, nobody.json()), (200, json!({"items": []})));
    let held = "/api/v1/customers/ana/legal-hold";
    assert_eq!(done(&bench, "PUT", held, hold, Some(json!({"reason": " "}))).await.status, 422);
    assert_eq!(done(&bench, "PUT", held, hold, Some(json!({"reason": "a suit"}))).await.status, 200);
    let email = json!({"email": format!("{}@EXAMPLE.com", WORD.to_uppercase())});
    assert_eq!(ask(email.clone()).await.status, 409);
    assert_eq!(
        done(&bench, "DELETE", "/api/v1/customers/ana", "/api/v1/customers/{id}", None).await.status,
        409
    );
    let holds = done(&bench, "GET", "/api/v1/legal-holds", "/api/v1/legal-holds", None).await.json();
    assert_eq!(holds["items"][0]["reason"], "a suit");
    assert_eq!(done(&bench, "DELETE", held, hold, None).await.status, 200);
    assert_eq!(done(&bench, "DELETE", held, hold, None).await.status, 404);
    let erased = ask(email).await.json();
    assert_eq!(erased["items"][0]["asked_by"], "email");
    // Who asked is noted, and not what for.
    let audit = bench.call("GET", "/api/v1/audit", "ut_mine", None).await.text;
    assert!(audit.contains("customer_erased") && !audit.to_lowercase().contains(WORD), "{audit}");
}

#[tokio::test]
async fn a_copy_has_everything_and_nobody_elses_name() {
    let bench = bench_with_customers().await;
    let act = undertone_store::Act::new(bench.mine.id, "test");
    let ana = bench.store().customer(bench.mine.id, "ana").await.unwrap().unwrap();
    bench.store().set_opted_out(&act, &ana.id, true).await.unwrap();
    let named =
        json!({"subject": "Ask Berta", "tags": ["Berta Baumann", "billing"], "queue": "berta@acme.example"});
    let talk = bench.call("PUT", "/api/v1/conversations/talk-1", "ut_mine", Some(&named)).await;
    assert_eq!(talk.status, 200, "{}", talk.text);
    let route = "/api/v1/customers/{id}/export";
    let copy = done(&bench, "GET", "/api/v1/customers/ana/export", route, None).await;
    assert_eq!(copy.status, 200);
    assert!(copy.header("content-disposition").starts_with("attachment; filename=\"customer-"));
    let told = copy.json();
    assert_eq!(told["customer"]["email"], format!("{WORD}@example.com"));
    let talks = told["conversations"].as_array().unwrap();
    assert_eq!(talks.len(), 2);
    let talk = talks.iter().find(|talk| talk["external_id"] == "talk-1").unwrap();
    assert_eq!(
        (&talk["tags"], &talk["queue"]),
        (&json!(["[somebody else]", "billing"]), &json!("[somebody else]"))
    );
    let interactions = told["interactions"].as_array().unwrap();
    assert_eq!(interactions.len(), 2);
    let first = &interactions[1];
    assert!(first["texts"][0]["body"].as_str().unwrap().ends_with("[somebody else] promised it."), "{first}");
    let verdict = &first["verdicts"][0]["verdict"];
    assert!(verdict["score"].is_i64() && verdict["provenance"]["model_version"].is_string(), "{verdict}");
    let acts: Vec<&str> =
        told["done_about_you"].as_array().unwrap().iter().map(|m| m["action"].as_str().unwrap()).collect();
    assert_eq!(acts, ["customer_opt_out", "customer_exported"], "the export itself is noted first");
    assert!(!copy.text.contains("Berta") && !copy.text.contains("berta@"), "other people are left out");
    assert!(!copy.text.contains("that was quick"), "of other customers nothing");
    let readable = bench.call("GET", "/api/v1/customers/ana/export?format=text", "ut_mine", None).await;
    assert!(readable.text.starts_with("# What mine holds about you"), "{}", readable.text);
    for part in [WORD, "Read at", "version", "## Conversations", "90 days"] {
        assert!(readable.text.contains(part), "{part}: {}", readable.text);
    }
    let wrong = done(&bench, "GET", "/api/v1/customers/ana/export?format=pdf", route, None).await;
    assert_eq!(wrong.status, 400);
    assert_eq!(done(&bench, "GET", "/api/v1/customers/nobody/export", route, None).await.status, 404);
    assert_eq!(bench.call("GET", "/api/v1/customers/ana/export", "ut_theirs", None).await.status, 404);
    // One of whom little is known.
    bench.call("PUT", "/api/v1/customers/cy", "ut_mine", Some(&json!({}))).await;
    let little = done(&bench, "GET", "/api/v1/customers/cy/export", route, None).await.json();
    assert_eq!((&little["interactions"], &little["conversations"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn clocks_and_notices_follow_the_settings() {
    let bench = bench_with_customers().await;
    let retention = "/api/v1/retention";
    let before = done(&bench, "GET", retention, retention, None).await.json();
    assert_eq!((&before["text_days"], &before["runs"]), (&json!(90), &json!([])));
    let preview = "/api/v1/retention/preview";
    assert_eq!(done(&bench, "GET", preview, preview, None).await.json()["due"], json!({}));
    let (cookie, _) = bench.session("analyst").await;
    let page = async |language: &str| {
        let request =
            Request::get(format!("/privacy{language}")).header(header::COOKIE, &cookie).body(Body::empty());
        bench.send(request.unwrap()).await.text
    };
    let (text, policy) = (page("").await, "/api/v1/privacy");
    assert!(text.contains("deleted 90 days after") && !text.contains("Anthropic"), "{text}");
    // A run may put texts to others than the settings name.
    let act = undertone_store::Act::new(bench.mine.id, "test");
    let asked = Asked { scorer: Some(ScorerKind::Claude), ..Asked::default() };
    bench.store().start_backfill(&act, &asked, &json!({})).await.unwrap();
    let facts = done(&bench, "GET", policy, policy, None).await.json();
    assert_eq!((&facts["processor"], &facts["also"]), (&json!("nobody"), &json!(["anthropic"])));
    let copy = bench.get("/api/v1/customers/ana/export").await;
    for told in [page("").await, copy["about_this_data"]["sections"].to_string()] {
        assert!(told.contains("Anthropic") && !told.contains("not passed to anybody else"), "{told}");
    }
    bench.set(json!({"retention_text_days": 45, "scorer": "claude"})).await;
    assert_eq!(done(&bench, "GET", retention, retention, None).await.json()["text_days"], 45);
    let text = page("?language=de").await;
    assert!(text.contains("45 Tage nach dem Eingang") && text.contains("Anthropic"), "{text}");
    let facts = done(&bench, "GET", "/api/v1/privacy?language=es", policy, None).await.json();
    assert_eq!((&facts["processor"], &facts["text_days"]), (&json!("anthropic"), &json!(45)));
    assert_eq!(done(&bench, "GET", "/api/v1/privacy?language=fr", policy, None).await.status, 400);
    let refused =
        bench.call("PUT", "/api/v1/settings", "ut_mine", Some(&json!({"retention_scores_days": 44}))).await;
    assert_eq!((refused.status, refused.text.contains("outlive")), (422, true), "{}", refused.text);
}

/// By hand, not from the table of permissions: whoever hands in texts may note an objection, and only who answers for privacy may end one.
#[tokio::test]
async fn to_object_is_easier_than_to_end_it() {
    let bench = bench_with_customers().await;
    let path = "/api/v1/customers/ana/opt-out";
    for (key, puts, deletes) in [("ingest", 200, 403), ("read", 403, 403), ("admin", 403, 200)] {
        for (method, status) in [("PUT", puts), ("DELETE", deletes)] {
            let answer = bench.call(method, path, &format!("ut_mine_{key}"), None).await;
            assert_eq!(answer.status, status, "{method} with {key}: {}", answer.text);
        }
    }
    for (role, puts, deletes) in [
        ("admin", 200, 200),
        ("tenant_admin", 200, 200),
        ("supervisor", 200, 403),
        ("manager", 200, 403),
        ("reviewer", 403, 403),
        ("account_manager", 200, 403),
        ("agent", 200, 403),
        ("analyst", 403, 403),
    ] {
        let person = bench.person(role).await;
        for (method, status) in [("PUT", puts), ("DELETE", deletes)] {
            let answer = bench.by(&person, method, path, None).await;
            assert_eq!(answer.status, status, "{method} as {role}: {}", answer.text);
        }
    }
    // What an intake key tried did not lift it.
    bench.call("PUT", path, "ut_mine_ingest", None).await;
    bench.call("DELETE", path, "ut_mine_ingest", None).await;
    assert!(bench.get("/api/v1/customers/ana").await["opted_out_at"].is_string());
}

#[tokio::test]
async fn an_alias_names_one_customer() {
    let bench = bench_with_customers().await;
    let route = "/api/v1/customers/{id}";
    let aliases = json!({"aliases": [{"kind": "zendesk", "value": 77}, {"kind": "email", "value": "Quoll@Home.example"}]});
    let ours =
        done(&bench, "PUT", "/api/v1/customers/ana", route, Some(aliases.clone())).await.json()["id"].clone();
    let taken = done(&bench, "PUT", "/api/v1/customers/new", route, Some(aliases)).await;
    assert_eq!(
        (taken.status, taken.text.contains("kind zendesk"), taken.text.contains("quoll@")),
        (409, true, false),
        "{}",
        taken.text
    );
    assert_eq!(
        bench.call("GET", "/api/v1/customers/new", "ut_mine", None).await.status,
        404,
        "nothing was saved"
    );
    assert_eq!(done(&bench, "GET", "/api/v1/customers/zendesk:77", route, None).await.json()["id"], ours);
    assert_eq!(bench.call("GET", "/api/v1/customers/zendesk:77", "ut_theirs", None).await.status, 404);
    let copy = bench.get("/api/v1/customers/zendesk:77/export").await;
    let held = json!([{"kind": "email", "value": "quoll@home.example"}, {"kind": "zendesk", "value": "77"}]);
    assert_eq!(copy["customer"]["aliases"], held);
    for (wrong, field) in [
        (json!("x"), "aliases"),
        (json!([{"kind": "zendesk"}]), "aliases[0].value"),
        (json!([{"kind": "Zen:desk", "value": "1"}]), "aliases[0].kind"),
        (json!([{"kind": "email", "value": "nobody"}]), "aliases[0].value"),
        (json!([{"kind": "x", "value": "1", "more": 1}]), "aliases[0].more"),
    ] {
        let refused =
            done(&bench, "PUT", "/api/v1/customers/ana", route, Some(json!({"aliases": wrong}))).await;
        assert_eq!(
            (refused.status, &refused.json()["errors"][0]["field"]),
            (422, &json!(field)),
            "{}",
            refused.text
        );
    }
    // An interaction tells them too; of a file only the line that names another's is refused.
    let of = |id: &str, value: i64| json!({"text": "Hello", "external_id": format!("{id}-{value}"), "customer": {"id": id, "aliases": [{"kind": "crm", "value": 1}, {"kind": "zendesk", "value": value}]}});
    let refused = bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&of("new", 77))).await;
    assert_eq!(
        (refused.status, &refused.json()["errors"][0]["field"]),
        (409, &json!("customer.aliases[1]")),
        "{}",
        refused.text
    );
    assert_eq!(bench.call("GET", "/api/v1/customers/crm:1", "ut_mine", None).await.status, 404);
    let file = json!([of("new", 77), of("new", 78), {"text": "Hello", "customer": {"id": "x", "aliases": [{"kind": "y"}]}}]);
    let told = bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&file)).await.json();
    assert_eq!((&told["accepted"], &told["rejected"]), (&json!(1), &json!(2)), "{told}");
    let errors: Vec<(&Value, &Value)> =
        told["errors"].as_array().unwrap().iter().map(|e| (&e["line"], &e["field"])).collect();
    assert_eq!(
        errors,
        [(&json!(3), &json!("customer.aliases[0].value")), (&json!(1), &json!("customer.aliases[1]"))]
    );
    assert_eq!(bench.get("/api/v1/customers/crm:1").await["external_id"], "new");
    let erased = bench.call("DELETE", "/api/v1/customers/zendesk:77", "ut_mine", None).await.json();
    assert_eq!(erased["customer_id"], ours);
}

/// A file of an erasure that was scrubbed a moment ago is not written anew at once, and large ones once a day: the log is emptied all the same.
#[tokio::test]
async fn what_was_erased_stands_in_no_write_ahead_log() {
    let bench = Bench::open().await;
    let log = bench.folder.path().join("undertone.db-wal");
    let stands = |word: &str| {
        let bytes = std::fs::read(&log).unwrap_or_default();
        bytes.windows(word.len()).any(|window| window == word.as_bytes())
    };
    for (customer, word) in [("ana", "dunnart5310"), ("bo", "planigale6204")] {
        let item =
            json!({"external_id": customer, "customer": customer, "text": format!("Where is the {word}?")});
        assert_eq!(bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&item)).await.status, 201);
        bench.settled(&bench.mine).await;
        assert!(stands(word));
        let path = format!("/api/v1/customers/{customer}");
        assert_eq!(bench.call("DELETE", &path, "ut_mine", None).await.status, 200);
        super::until("the log has nothing of it", || !stands(word)).await;
        for _ in 0..100 {
            if customer == "bo" || !bench.store().wants_scrubbing().await.unwrap() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
    // The second was not scrubbed: a minute has not passed.
    assert!(bench.store().wants_scrubbing().await.unwrap());
}
