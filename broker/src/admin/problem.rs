//! What is wrong with a request, as RFC 9457 has it.

use std::{borrow::Cow, error::Error as _};

use axum::{
    extract::rejection::QueryRejection,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header::CONTENT_TYPE};
use serde_json::json;

/// An error of the admin port: `application/problem+json` with a hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    hint: Option<Cow<'static, str>>,
}

impl Problem {
    /// `detail` says what is wrong, in one sentence.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            hint: None,
        }
    }

    /// What is wrong with a query string.
    pub(super) fn of_query(rejection: &QueryRejection) -> Self {
        let why = rejection.source().map(ToString::to_string);
        let why = why.unwrap_or_else(|| rejection.to_string());
        Self::new(
            StatusCode::BAD_REQUEST,
            format!("the query can't be read: {why}"),
        )
    }

    /// Says what to do about it.
    pub(super) fn hint(self, hint: impl Into<Cow<'static, str>>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or_default(),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Some(hint) = self.hint {
            body["hint"] = hint.into();
        }
        let kind = [(CONTENT_TYPE, "application/problem+json")];
        (self.status, kind, body.to_string()).into_response()
    }
}
