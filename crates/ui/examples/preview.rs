//! Writes sample pages into a folder, with their assets, to be looked at in a browser:
//! `cargo run -p undertone-ui --example preview -- /tmp/preview && python3 -m http.server -d /tmp/preview`.

#[path = "../tests/overview/sample.rs"]
mod sample;

use std::error::Error;
use std::path::Path;

use undertone_core::overview::Overview;
use undertone_ui::{Login, OverviewPage, Problem, assets};

fn overview(overview: &Overview) -> String {
    undertone_ui::overview(&OverviewPage {
        user_email: "demo@undertone.example",
        csrf: "token",
        overview,
        period_days: overview.days.len() as u32,
        moment: "1.-60.1.0",
        categories: &[("own_category".to_owned(), "Our own category".to_owned())],
        welcome: "curl http://localhost:8080/api/v1/interactions -H 'Authorization: Bearer YOUR_KEY' -d '{\"text\": \"Hello\"}'",
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("error: name a folder: preview FOLDER")?;
    let folder = Path::new(&folder);
    let mut off = sample::busy(90);
    off.active = false;
    let login = Login {
        next: "/",
        email: "",
        error: None,
        csrf: "token",
        hint: Some("Demo: demo@undertone.example, password uzng-etey"),
        sign_on: Some(("/login/sign-on?tenant=acme", "Acme ID")),
        tenant: "acme",
    };
    let problem = Problem {
        status: 404,
        title: "Not found",
        detail: "There is no such page.",
        request_id: "0199-7f",
        user: None,
    };
    let pages = [
        ("index.html", overview(&sample::busy(30))),
        ("week.html", overview(&sample::busy(7))),
        ("off.html", overview(&off)),
        ("empty.html", overview(&sample::empty(30))),
        ("login.html", undertone_ui::login(&login)),
        ("problem.html", undertone_ui::problem(&problem)),
    ];
    std::fs::create_dir_all(folder.join("assets"))?;
    for (name, html) in &pages {
        std::fs::write(folder.join(name), html)?;
        // What pages refer to, by the names they use.
        for address in html.split('"').filter(|part| part.starts_with("/assets/")) {
            let asset = assets::find(address).ok_or_else(|| format!("error: {address} is no asset"))?;
            std::fs::write(folder.join(address.trim_start_matches('/')), &asset.text)?;
        }
    }
    Ok(())
}
