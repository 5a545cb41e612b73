//! A tenant's own truth: labels in, lessons out.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use serde_json::{Value, json};
use undertone_core::Permission;
use undertone_scoring::local::lesson::{LEAST_PER_LABEL, LEAST_TRIED};

use super::caller::Caller;
use super::problem::{ApiError, CONFLICT, INTERNAL, TOO_LARGE, UNSUPPORTED};
use crate::app::App;
use crate::calibrate::{self, CalibrationError, MOST_BYTES};
use crate::error::CliError;
use crate::eval::labelled::Columns;
use crate::input::columns::NAME_IT;
use crate::visibility::{self, Eyes};

/// How many labels there are, how many are missing, and every lesson. The labels are told to who may teach. Corrections and reviewed verdicts are
/// among them, and one more of them is what somebody said of one text: they are counted for who sees each verdict, and for nobody else, neither
/// here nor in what a lesson was tried on.
pub async fn show(State(app): State<App>, caller: Caller) -> Result<axum::Json<Value>, ApiError> {
    let standing = calibrate::standing(&app.store, &app.reader, caller.tenant_id()).await?;
    let mut told = json!(standing);
    let teaches = caller.may(Permission::Calibrate);
    if !teaches {
        told["labels"] = Value::Null;
    }
    if let Some(reason) = Eyes::of(&app.store, &caller).await?.reserve() {
        let labels = told["labels"].as_object_mut().into_iter().flatten();
        for count in labels.filter_map(|(_, count)| count.as_object_mut()) {
            for hidden in ["texts", "reviewed", "corrected", "missing", "missing_to_try"] {
                count.insert(hidden.to_owned(), Value::Null);
            }
        }
        let mut hides = teaches;
        let lessons = told["lessons"].as_array_mut().into_iter().flatten();
        for trial in lessons.filter_map(|lesson| lesson.pointer_mut("/trial/trial")) {
            hide_texts(trial);
            hides = true;
        }
        if hides {
            told["hidden"] = visibility::why(reason);
        }
    }
    Ok(axum::Json(told))
}

/// Takes out of a trial how many texts there were.
fn hide_texts(trial: &mut Value) {
    for name in ["texts", "learnt_from_only", "unread"] {
        if let Some(count) = trial.get_mut(name) {
            *count = Value::Null;
        }
    }
}

/// Takes in a file of labelled texts: `text/csv`, or JSON Lines. Rows that can not be used are told, the others kept.
pub async fn take(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<axum::Json<Value>, ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let name = match kind.split(';').next().unwrap_or_default().trim() {
        "text/csv" | "text/tab-separated-values" => "labels.csv",
        "application/x-ndjson" | "application/jsonl" | "application/json" => "labels.jsonl",
        _ => {
            let told = "send Content-Type: text/csv, or application/x-ndjson with an object a line";
            return Err(ApiError::new(UNSUPPORTED, told));
        }
    };
    let bytes = axum::body::to_bytes(body, MOST_BYTES)
        .await
        .map_err(|_| ApiError::new(TOO_LARGE, format!("a file of labels has {MOST_BYTES} bytes at most")))?;
    match calibrate::take(&app.store, &caller.act(), name, bytes.into(), Columns::default()).await {
        Ok(mut taken) => {
            taken.errors.iter_mut().for_each(|told| *told = without_flags(told));
            Ok(axum::Json(json!(taken)))
        }
        Err(CliError::Store(error)) => Err(error.into()),
        Err(other) => Err(ApiError::invalid_field("", without_flags(&other.to_string()))),
    }
}

/// What is wrong with a file, for who has no flags to name its columns.
fn without_flags(told: &str) -> String {
    told.replace(NAME_IT, "call it text")
}

/// Removes every label that was handed in. Lessons stay.
pub async fn forget(State(app): State<App>, caller: Caller) -> Result<axum::Json<Value>, ApiError> {
    Ok(axum::Json(json!({"removed": app.store.forget_labels(&caller.act()).await?})))
}

/// Learns from the labels; the lesson comes into force where it helps.
pub async fn learn(State(app): State<App>, caller: Caller) -> Result<axum::Json<Value>, ApiError> {
    let sees_counts = Eyes::of(&app.store, &caller).await?.see_everything();
    // Learning keeps a core busy for a while: one at a time. It goes on when the caller goes away, and the lesson is there later.
    let Ok(turn) = app.learning.clone().try_lock_owned() else {
        return Err(ApiError::new(CONFLICT, "a lesson is being made; try again when it is done"));
    };
    let learning = tokio::spawn(async move {
        let made = calibrate::learn(&app.store, &app.reader, &caller.act()).await;
        drop(turn);
        made
    });
    match learning.await.unwrap_or_else(|e| Err(CalibrationError::Broke(e.to_string()))) {
        Ok(made) => {
            let mut told = json!(made);
            if !sees_counts {
                hide_texts(&mut told["trial"]);
            }
            Ok(axum::Json(told))
        }
        Err(CalibrationError::TooFew(told)) if sees_counts => {
            Err(ApiError::invalid_field("", told.to_string()))
        }
        Err(CalibrationError::TooFew(_)) => {
            let told = format!(
                "there are too few labelled texts to learn from: {LEAST_PER_LABEL} of each label are needed, {LEAST_TRIED} of them handed in \
                 or drawn at random by the review; hand in more"
            );
            Err(ApiError::invalid_field("", told))
        }
        Err(CalibrationError::Store(error)) => Err(error.into()),
        Err(CalibrationError::Broke(cause)) => {
            Err(ApiError { cause: Some(cause), ..ApiError::new(INTERNAL, "the lesson could not be made") })
        }
    }
}

/// Puts a lesson in force in place of another.
pub async fn activate(
    State(app): State<App>,
    caller: Caller,
    Path(version): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    let Ok(known) = version.parse() else { return Err(ApiError::not_found("lesson")) };
    if !calibrate::activate(&app.store, &app.reader, &caller.act(), known).await? {
        return Err(ApiError::not_found("lesson"));
    }
    show(State(app), caller).await
}

/// Puts the model back as it came.
pub async fn revert(State(app): State<App>, caller: Caller) -> Result<axum::Json<Value>, ApiError> {
    app.store.use_lesson(&caller.act(), None).await?;
    show(State(app), caller).await
}
