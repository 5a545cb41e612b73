//! Style, script and icon. Their names carry a digest of their content, so that browsers may keep them for good.

use std::sync::OnceLock;

use sha2::{Digest, Sha256};

/// A file that pages refer to.
#[derive(Debug)]
pub struct Asset {
    /// Its address.
    pub address: String,
    /// Its media type.
    pub mime: &'static str,
    /// What it holds.
    pub text: String,
}

static ASSETS: OnceLock<[Asset; 3]> = OnceLock::new();

fn all() -> &'static [Asset; 3] {
    ASSETS.get_or_init(|| {
        [
            asset("undertone", "css", "text/css; charset=utf-8", style()),
            asset(
                "undertone",
                "js",
                "text/javascript; charset=utf-8",
                include_str!("../assets/undertone.js").to_owned(),
            ),
            asset("undertone", "svg", "image/svg+xml", include_str!("../assets/icon.svg").to_owned()),
        ]
    })
}

/// The style sheet, and a rule for each place a dot may have on a chart: pages set no style of their own.
fn style() -> String {
    let places = (0..=100).map(|percent| format!(".y{percent}{{top:{percent}%}}"));
    places.fold(include_str!("../assets/undertone.css").to_owned(), |style, rule| style + &rule)
}

fn asset(name: &str, ending: &str, mime: &'static str, text: String) -> Asset {
    let digest = Sha256::digest(&text)
        .iter()
        .take(8)
        .fold(String::new(), |digest, byte| digest + &format!("{byte:02x}"));
    Asset { address: format!("/assets/{name}.{digest}.{ending}"), mime, text }
}

/// The file with this address.
#[must_use]
pub fn find(address: &str) -> Option<&'static Asset> {
    all().iter().find(|asset| asset.address == address)
}

/// The style sheet itself.
pub(crate) fn style_text() -> &'static str {
    &all()[0].text
}

/// Addresses of style, script and icon.
pub(crate) fn addresses() -> [&'static str; 3] {
    let [style, script, icon] = all();
    [&style.address, &script.address, &icon.address]
}
