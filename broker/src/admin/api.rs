//! The books and the objects.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use http::{StatusCode, Uri};
use serde_json::Value;
use volley_spec::{Identity, ObjectKind, report::BrokerAccount};

use super::{
    Admin,
    paging::{Key, Part, Wanted},
    problem::Problem,
};

/// The books of every Broker and Channel.
pub(super) async fn accounts(
    State(admin): State<Arc<Admin>>,
    uri: Uri,
) -> Result<Json<Part<BrokerAccount>>, Problem> {
    let wanted = Wanted::of(&uri)?;
    let accounts = admin.ask(admin.plane.accounts(&wanted.books())).await?;
    let key = |account: &BrokerAccount| (account.namespace.clone(), account.name.clone());
    Ok(Json(wanted.part(accounts, key)))
}

/// The objects of one kind.
pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    Path(kinds): Path<String>,
    uri: Uri,
) -> Result<Json<Part<Value>>, Problem> {
    let kind = kind(&kinds)?;
    let asked = Wanted::of(&uri)?.of_kind(kind);
    let listed = admin.ask(admin.objects.list(&asked)).await?;
    Ok(Json(listed.into()))
}

/// The declared objects of kinds that this build does not serve.
pub(super) async fn skipped(
    State(admin): State<Arc<Admin>>,
    uri: Uri,
) -> Result<Json<Part<Value>>, Problem> {
    let wanted = Wanted::of(&uri)?;
    let mut objects = admin.objects.skipped();
    objects.retain(|object| {
        let (namespace, name) = key_of(object);
        wanted.takes(&namespace, &name)
    });
    Ok(Json(wanted.part(objects, key_of)))
}

/// One object.
pub(super) async fn object(
    State(admin): State<Arc<Admin>>,
    Path((kinds, namespace, name)): Path<(String, String, String)>,
) -> Result<Json<Value>, Problem> {
    let kind = kind(&kinds)?;
    let identity = Identity::new(kind, namespace, name);
    let found = admin.ask(admin.objects.get(&identity)).await?;
    found.map(Json).ok_or_else(|| {
        let what = format!("{} {}", kind.name(), cut(&identity.key.to_string()));
        let detail = match admin.objects.held(&identity) {
            Some(why) => format!("{what} is declared and not taken up: {why}"),
            None => format!("there is no {what}"),
        };
        Problem::new(StatusCode::NOT_FOUND, detail)
            .hint(format!("/api/v1/{} lists all of them", kind.plural()))
    })
}

fn kind(plural: &str) -> Result<ObjectKind, Problem> {
    let mut all = ObjectKind::ALL.into_iter();
    all.find(|kind| kind.plural() == plural).ok_or_else(|| {
        let known: Vec<_> = ObjectKind::ALL
            .into_iter()
            .map(ObjectKind::plural)
            .collect();
        let detail = format!("this build serves no kind {}", cut(plural));
        let hint = format!("there are accounts, skipped, {}", known.join(", "));
        Problem::new(StatusCode::NOT_FOUND, detail).hint(hint)
    })
}

fn key_of(object: &Value) -> Key {
    let field = |name| {
        object["metadata"][name]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    (field("namespace"), field("name"))
}

/// What is quoted of a request.
fn cut(text: &str) -> String {
    text.chars().take(100).collect()
}
