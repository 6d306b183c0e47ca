//! `/api/v1/overview`: everything at one glance, as the page and `autoscaler status` show it.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use super::Shown;
use crate::clock;

pub(super) async fn overview(State(shown): State<Shown>) -> Response {
    let frame = shown.window.frame().await;
    ([(header::CONTENT_TYPE, "application/json")], frame.at(clock::now_ms())).into_response()
}
