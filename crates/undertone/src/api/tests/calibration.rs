//! Labels in, lessons out, as a caller sees it.

use serde_json::{Value, json};
use undertone_store::Act;
use undertone_store::lessons::NewLesson;
use undertone_testkit::corpus::messages;

use super::Bench;

/// Our own messages as a tenant would label them to whom half a complaint is a complaint: mixed is negative to them.
fn labels(each: usize) -> String {
    let mut lines = String::new();
    for wanted in ["positive", "neutral", "negative", "mixed"] {
        for message in
            messages("train").iter().filter(|m| m.label == wanted && m.phenomena != ["transcript"]).take(each)
        {
            let label = if wanted == "mixed" { "negative" } else { wanted };
            lines += &json!({"text": message.text, "label": label}).to_string();
            lines += "\n";
        }
    }
    lines
}

#[tokio::test]
async fn too_few_labels_are_told_and_bad_rows_beside_good_ones_too() {
    let bench = Bench::open().await;
    let file = "text,label\n\"Where is my parcel, it was due on Monday?\",negative\n\"hello there\",\n\"All fine again, thanks\",happy\n";
    let taken = bench.post("/api/v1/calibration/labels", "text/csv", file).await;
    assert_eq!(taken.status, 200, "{}", taken.text);
    let told = taken.json();
    assert_eq!((&told["added"], &told["rejected"]), (&json!(1), &json!(2)), "{told}");
    assert!(told["errors"][0].as_str().unwrap().contains("line 3"), "{told}");

    let again = bench
        .post("/api/v1/calibration/labels", "text/csv", file.replace("negative", "neutral"))
        .await
        .json();
    assert_eq!((&again["added"], &again["changed"]), (&json!(0), &json!(1)), "{again}");
    let refused = bench.post("/api/v1/calibration", "application/json", "").await;
    assert_eq!(refused.status, 422);
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("300 more positive, 299 more neutral, 300 more negative are needed"), "{detail}");
    let standing = bench.get("/api/v1/calibration").await;
    let neutral = json!({"texts": 1, "handed_in": 1, "reviewed": 0, "corrected": 0, "missing": 299, "missing_to_try": 99});
    assert_eq!(standing["labels"]["neutral"], neutral);
    assert_eq!(standing["lessons"], json!([]));

    let nothing = bench.post("/api/v1/calibration/labels", "text/csv", "a,b\n1,2\n").await;
    assert_eq!(nothing.status, 422, "{}", nothing.text);
    assert!(nothing.text.contains("call it text") && !nothing.text.contains("--"), "{}", nothing.text);
    let other =
        bench.post("/api/v1/calibration/labels", "text/csv", "text,mood\nlate again,negative\n").await;
    assert!(other.text.contains("label, sentiment") && !other.text.contains("--"), "{}", other.text);
    let picture = bench.post("/api/v1/calibration/labels", "image/png", "x").await;
    assert_eq!(picture.status, 415);
}

#[tokio::test]
async fn a_lesson_that_helps_comes_into_force_and_can_be_taken_back() {
    let bench = Bench::open().await;
    bench.set(json!({"visibility": "aggregate_only"})).await;
    let taken = bench.post("/api/v1/calibration/labels", "application/x-ndjson", labels(310)).await;
    assert_eq!((taken.status, &taken.json()["added"]), (200, &json!(1240)), "{}", taken.text);
    let made = bench.post("/api/v1/calibration", "application/json", "").await;
    assert_eq!(made.status, 200, "{}", made.text);
    let made = made.json();
    assert_eq!((&made["version"], &made["active"]), (&json!(1), &json!(true)), "{made}");
    let f1 = |when: &str| made["trial"][when]["macro_f1"]["value"].as_f64().unwrap();
    assert!(f1("after") >= f1("before") + 0.02, "{made}");
    // How many texts it saw is told to who sees each verdict.
    assert_eq!((&made["trial"]["texts"], &made["trial"]["learnt_from_only"]), (&json!(null), &json!(null)));
    assert_eq!(bench.get("/api/v1/calibration").await["lessons"][0]["trial"]["trial"]["texts"], json!(null));
    bench.set(json!({"visibility": "full_transparency"})).await;
    let told = bench.get("/api/v1/calibration").await["lessons"][0]["trial"]["trial"].clone();
    let readable = 1240 - told["unread"].as_u64().unwrap();
    assert_eq!((&told["texts"], &told["learnt_from_only"]), (&json!(readable), &json!(0)), "{told}");

    let mixed =
        "Love the new oven, absolutely gorgeous bread, but your delivery driver was rude and an hour late.";
    let score = async |key: &str| {
        let answer = bench.call("POST", "/api/v1/score", key, Some(&json!({"text": mixed}))).await.json();
        let version = answer["verdict"]["provenance"]["model_version"].as_str().unwrap().to_owned();
        (answer["verdict"]["label"].clone(), version)
    };
    let (label, version) = score("ut_mine").await;
    assert_ne!(label, json!("mixed"), "this tenant knows no mixed");
    assert!(version.ends_with(" lesson 1"), "{version}");
    // Nobody else learns from it.
    let (_, theirs) = score("ut_theirs").await;
    assert!(!theirs.contains("lesson"), "{theirs}");
    let other = bench.call("GET", "/api/v1/calibration", "ut_theirs", None).await.json();
    assert_eq!((&other["lessons"], &other["labels"]["positive"]["texts"]), (&json!([]), &json!(0)));

    // What the service scores goes by it too.
    let posted = bench
        .post("/api/v1/interactions", "application/json", json!({"text": mixed}).to_string())
        .await
        .json();
    bench.settled(&bench.mine).await;
    let shown = bench.get(&format!("/api/v1/interactions/{}", posted["id"].as_str().unwrap())).await;
    assert!(shown.to_string().contains(" lesson 1"), "{shown}");

    let back = bench.post("/api/v1/calibration/revert", "application/json", "").await.json();
    assert_eq!(back["lessons"][0]["active"], json!(false));
    assert!(!score("ut_mine").await.1.contains("lesson"));
    let on = bench.post("/api/v1/calibration/lessons/1/activate", "application/json", "").await.json();
    assert_eq!(on["lessons"][0]["active"], json!(true));
    assert!(score("ut_mine").await.1.ends_with(" lesson 1"));
    for unknown in ["2", "x", "-1"] {
        let path = format!("/api/v1/calibration/lessons/{unknown}/activate");
        assert_eq!(bench.post(&path, "application/json", "").await.status, 404);
    }
    // The next one, from the same texts with a third of the labels wrong, does not replace it.
    let mut noisy = String::new();
    for (at, line) in labels(310).lines().enumerate() {
        let mut row: Value = serde_json::from_str(line).unwrap();
        if at % 3 == 0 {
            let other = match row["label"].as_str().unwrap() {
                "positive" => "neutral",
                "neutral" => "negative",
                _ => "positive",
            };
            row["label"] = json!(other);
        }
        noisy += &format!("{row}\n");
    }
    let taken = bench.post("/api/v1/calibration/labels", "application/x-ndjson", noisy).await.json();
    assert!(taken["changed"].as_u64().unwrap() > 400, "{taken}");
    let second = bench.post("/api/v1/calibration", "application/json", "").await.json();
    assert_eq!((&second["version"], &second["active"]), (&json!(2), &json!(false)), "{second}");
    assert!(score("ut_mine").await.1.ends_with(" lesson 1"), "lesson 1 stays");
    let removed = bench.call("DELETE", "/api/v1/calibration/labels", "ut_mine", None).await.json();
    assert_eq!(removed, json!({"removed": 1240}));
    let audit: Vec<Value> = bench.get("/api/v1/calibration").await["lessons"].as_array().unwrap().clone();
    assert_eq!(audit.len(), 2, "the lessons stay");
}

#[tokio::test]
async fn a_tenants_phrases_hold_at_once_and_are_named() {
    let bench = Bench::open().await;
    let text = "The portfolio is not performing as expected since spring.";
    let score = async || {
        bench.call("POST", "/api/v1/score", "ut_mine", Some(&json!({"text": text}))).await.json()["verdict"]
            .clone()
    };
    let before = score().await;
    let settings =
        json!({"phrases": [{"phrase": "Not performing as expected", "shift": -80, "urgency": "high"}]});
    bench.set(settings).await;
    let after = score().await;
    assert!(after["score"].as_i64().unwrap() < before["score"].as_i64().unwrap(), "{before} {after}");
    assert_eq!((&after["label"], &after["urgency"]), (&json!("negative"), &json!("high")));
    let named = after["evidence"].as_array().unwrap().iter().find(|e| e["phrase"] == json!(true)).unwrap();
    assert_eq!((&named["text"], &named["weight"]), (&json!("not performing as expected"), &json!(-80.0)));
    assert!(
        after["summary"]
            .as_str()
            .unwrap()
            .contains("Your phrase “not performing as expected”: score -80, urgency high.")
    );
}

/// One more label that came of a correction or the review is what somebody said of one text.
#[tokio::test]
async fn what_people_said_of_verdicts_is_counted_for_who_sees_them() {
    let bench = Bench::open().await;
    let id = bench.score(&super::furious("ana")).await;
    let lesson = NewLesson {
        version: 1,
        model_version: "another",
        body: "{}",
        trial: json!({"verdict": "better", "trial": {"texts": 901, "learnt_from_only": 7, "unread": 3}}),
        active: false,
    };
    let act = Act::new(bench.mine.id, "test");
    bench.app.store.keep_lesson(&act, &lesson).await.unwrap();
    let counts = async || bench.get("/api/v1/calibration").await;
    let hiding = ["post_conversation", "aggregate_only", "threshold_rules"];
    let mut before = Vec::new();
    for policy in hiding {
        bench.set(json!({"visibility": policy})).await;
        let told = counts().await;
        let negative = json!({"texts": null, "handed_in": 0, "reviewed": null, "corrected": null, "missing": null, "missing_to_try": null});
        assert_eq!(told["labels"]["negative"], negative, "{policy}");
        assert!(told["hidden"]["reason"].is_string(), "{told}");
        let trial = json!({"texts": null, "learnt_from_only": null, "unread": null});
        assert_eq!(told["lessons"][0]["trial"]["trial"], trial, "{policy}");
        before.push(told);
    }
    bench.set(json!({"visibility": "full_transparency"})).await;
    super::events::correct(&bench, &id, "neutral").await;
    let told = counts().await;
    assert_eq!((&told["labels"]["neutral"]["corrected"], told.get("hidden")), (&json!(1), None));
    assert_eq!(told["lessons"][0]["trial"]["trial"]["texts"], json!(901));
    for (policy, before) in hiding.iter().zip(before) {
        bench.set(json!({"visibility": policy})).await;
        assert_eq!(counts().await, before, "{policy}");
        let refused = bench.post("/api/v1/calibration", "application/json", "").await;
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(refused.status == 422 && detail.contains("too few") && !detail.contains("299"), "{detail}");
    }
}
