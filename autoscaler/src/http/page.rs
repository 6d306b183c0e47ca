//! The live dashboard at `/`: files that are part of the program. Nothing is loaded from
//! anywhere else, and the browser is told to refuse it.

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::problem;

/// Nothing but this page's own files may run or load, no text may become markup or script, and
/// nobody may put the page into a frame to have its buttons pressed.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! assets {
    ($($name:literal: $kind:expr,)*) => {
        /// Name, kind and text of each file.
        const ASSETS: &[(&str, &str, &str)] =
            &[$(($name, $kind, include_str!(concat!("../dashboard/page/", $name))),)*];
    };
}

assets! {
    "index.html": HTML,
    "style.css": CSS,
    "parts.css": CSS,
    "icon.svg": SVG,
    "main.js": JS,
    "stream.js": JS,
    "dom.js": JS,
    "format.js": JS,
    "top.js": JS,
    "service.js": JS,
    "metrics.js": JS,
    "charts.js": JS,
    "past.js": JS,
    "log.js": JS,
    "orders.js": JS,
    "uplot/uPlot.iife.min.js": JS,
    "uplot/uPlot.min.css": CSS,
}

pub(super) async fn page() -> Response {
    serve("index.html")
}

pub(super) async fn asset(Path(name): Path<String>) -> Response {
    serve(&name)
}

fn serve(name: &str) -> Response {
    let Some((_, kind, text)) = ASSETS.iter().find(|(known, _, _)| *known == name) else {
        return problem::answer(StatusCode::NOT_FOUND, "no such page").into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, *kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // After an update the browser must not mix old files with new ones.
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, *text).into_response()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn files(directory: &Path, prefix: &str, found: &mut Vec<String>) {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if entry.path().is_dir() {
                files(&entry.path(), &format!("{name}/"), found);
            } else {
                found.push(name);
            }
        }
    }

    #[test]
    fn every_file_of_the_page_is_served_but_for_the_licence() {
        let mut found = Vec::new();
        files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dashboard/page"), "", &mut found);
        let mut served: Vec<_> = ASSETS.iter().map(|(name, _, _)| (*name).to_owned()).collect();
        served.extend(["uplot/LICENSE".to_owned(), "uplot/README.md".to_owned()]);
        found.sort_unstable();
        served.sort_unstable();
        assert_eq!(found, served);
    }

    #[test]
    fn the_page_names_no_other_place_and_has_no_script_or_style_inline() {
        for (name, kind, text) in ASSETS.iter().filter(|(name, ..)| !name.starts_with("uplot/")) {
            let foreign = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!foreign.contains("http:") && !foreign.contains("https:"), "{name}");
            for forbidden in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
                assert!(!text.contains(forbidden), "{name}: {forbidden}");
            }
            for stored in ["localStorage", "sessionStorage", "document.cookie", "indexedDB"] {
                assert!(!text.contains(stored), "{name}: {stored}");
            }
            if *kind == HTML {
                assert!(!text.contains("<style") && !text.contains(" style="), "{name}");
                // Handlers such as onclick="…".
                let mut names = text.split('=').filter_map(|before| before.rsplit(' ').next());
                assert!(!names.any(|name| name.starts_with("on")), "{name}");
                assert_eq!(
                    text.matches("<script").count(),
                    text.matches("<script src=").count() + text.matches("<script type=\"module\" src=").count()
                );
            }
        }
    }
}
