//! Whether the process lives, and whether it can be sent events.

use std::{fmt::Write, sync::Arc};

use axum::extract::State;
use http::{StatusCode, Uri};
use volley_channel::{Health, Unit};

use super::Admin;
use crate::{
    ingress::{Ingress, Phase},
    objects::Check,
};

/// How many doors' storage is looked at: they share their backends.
const LOOKED_AT: usize = 100;

/// How many Brokers without a declaration are named.
const NAMED: usize = 20;

/// It answers, so it lives.
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// 200 once every object is live or known not to be, and events can be stored.
///
/// `?verbose` lists each check; an answer that is not 200 always does.
pub(super) async fn ready(State(admin): State<Arc<Admin>>, uri: Uri) -> (StatusCode, String) {
    let objects = admin.objects.readiness();
    let own = [accepting(&admin.ingress), storage(&admin.ingress)];
    let ready = objects.ready && own.iter().all(|check| check.passed);
    let verbose = uri.query().is_some_and(|query| {
        query
            .split('&')
            .any(|one| one.split('=').next() == Some("verbose"))
    });
    let mut text = String::new();
    if verbose || !ready {
        let orphans = admin.orphans.as_ref().and_then(|names| orphans(&names()));
        for check in own.iter().chain(&objects.checks).chain(&orphans) {
            let sign = if check.passed { '+' } else { '-' };
            let detail = check.detail.replace(char::is_control, " ");
            writeln!(text, "[{sign}] {}: {detail}", check.name)
                .expect("writing to a string does not fail");
        }
    }
    if ready {
        text.push_str("ready\n");
        (StatusCode::OK, text)
    } else {
        text.push_str("not ready\n");
        (StatusCode::SERVICE_UNAVAILABLE, text)
    }
}

/// Brokers without a declaration: no reason to be not ready, and nothing that may be overlooked.
fn orphans(names: &[String]) -> Option<Check> {
    let first = names.first()?;
    let named = names[1..names.len().min(NAMED)].iter();
    let named = named.fold(first.clone(), |all, name| format!("{all}, {name}"));
    let more = if names.len() > NAMED { ", ..." } else { "" };
    Some(Check {
        name: "orphans",
        passed: true,
        detail: format!(
            "Brokers not declared, or not Ready, whose backlog is kept (--orphans) and not delivered: {} ({named}{more})",
            names.len()
        ),
    })
}

fn accepting(ingress: &Ingress) -> Check {
    let (passed, detail) = match ingress.phase() {
        Phase::Serving => (true, "taking events"),
        Phase::Draining => (
            false,
            "stopping: still taking events, but send no more here",
        ),
        Phase::Closing | Phase::Refusing => (false, "stopping: no more connections are taken"),
    };
    Check {
        name: "ingress",
        passed,
        detail: detail.to_owned(),
    }
}

/// A full Broker is no reason to send its neighbours' events elsewhere; a store that takes
/// nothing is.
fn storage(ingress: &Ingress) -> Check {
    let routes = ingress.routes();
    let troubles = routes.doors().iter().take(LOOKED_AT).filter_map(|door| {
        let unit = Unit {
            pool: door.pool(),
            part: 0,
        };
        let health = door.channel().health(unit).borrow().clone();
        match health {
            Health::Poisoned { reason } => Some((door, reason)),
            Health::Unreachable { reason, .. } => Some((door, reason)),
            _ => None,
        }
    });
    let first = troubles.into_iter().next();
    let detail = first.as_ref().map(|(door, reason)| {
        format!(
            "{}/{} can't store events: {reason}",
            door.namespace(),
            door.name()
        )
    });
    let damage = routes.doors().iter().take(LOOKED_AT);
    let damage = damage.map(|door| door.channel().damage()).max();
    Check {
        name: "storage",
        passed: detail.is_none(),
        detail: detail.unwrap_or_else(|| match damage.unwrap_or(0) {
            0 => "events can be stored".to_owned(),
            places => format!(
                "events can be stored; found damaged in {places} places, what is lost is in the accounts"
            ),
        }),
    }
}
