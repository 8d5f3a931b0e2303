//! The admission rules: what Knative's webhooks refuse, and what Volley's own settings take.
//!
//! Types and field names are the reader's business ([`crate::read`]); these rules look at values.
//! They are pure and know no file, so the same rules hold for files, the API and an operator.
//! Messages keep Knative's key words (`missing field(s): spec.broker`, `invalid value: ...`,
//! `expected exactly one, got both: ...`, `Immutable fields changed (-old +new): ...`).

pub mod annotations;
mod config;
mod defaults;
mod delivery;
mod destination;
pub(crate) mod filters;
mod names;
mod reference;
mod update;

use url::{Host, Url};

pub use filters::compile as compile_filters;
pub use update::update;

use crate::{
    kinds::{Broker, Service, Trigger},
    object::Object,
    problem::{Finding, Findings},
};

/// Everything wrong with `object`, every problem at once.
pub fn object(object: &Object) -> Vec<Finding> {
    let mut findings = Findings::new();
    names::metadata(object, &mut findings);
    match object {
        Object::Broker(object) => broker(object, &mut findings),
        Object::Trigger(object) => trigger(object, &mut findings),
        Object::ConfigMap(object) => config::config_map(object, &mut findings),
        Object::Secret(object) => config::secret(object, &mut findings),
        Object::Service(object) => service(object, &mut findings),
    }
    findings.finish()
}

fn broker(broker: &Broker, findings: &mut Findings) {
    annotations::broker(&broker.metadata, findings);
    findings.within("spec", |findings| {
        if let Some(config) = &broker.spec.config {
            findings.within("config", |findings| reference::check(config, findings));
        }
        if let Some(delivery) = &broker.spec.delivery {
            findings.within("delivery", |findings| delivery::check(delivery, findings));
        }
    });
}

fn trigger(trigger: &Trigger, findings: &mut Findings) {
    annotations::trigger(trigger, findings);
    findings.within("spec", |findings| {
        let spec = &trigger.spec;
        broker_of(trigger, findings);
        filters::check(spec, findings);
        findings.within("subscriber", |findings| {
            destination::check(&spec.subscriber, findings)
        });
        if let Some(delivery) = &spec.delivery {
            findings.within("delivery", |findings| delivery::check(delivery, findings));
        }
    });
}

/// A Trigger names its Broker, once.
fn broker_of(trigger: &Trigger, findings: &mut Findings) {
    let spec = &trigger.spec;
    match (&spec.broker_ref, spec.broker.is_empty()) {
        (None, true) => findings.missing("broker", "name the Broker, for example broker: default"),
        (None, false) => {
            if let Some(reason) = names::subdomain(&spec.broker) {
                findings.error_at(
                    "broker",
                    format!("invalid value: {} {reason}", spec.broker),
                    names::HINT,
                );
            }
        }
        (Some(_), false) => {
            let both = format!(
                "{}, {}",
                findings.path_of("broker"),
                findings.path_of("brokerRef")
            );
            findings.error_at(
                "broker",
                format!("expected exactly one, got both: {both}"),
                "keep one of the two",
            );
        }
        (Some(broker), true) => findings.within("brokerRef", |findings| {
            reference::to_broker(broker, trigger.metadata.namespace(), findings);
        }),
    }
}

fn service(service: &Service, findings: &mut Findings) {
    const TYPES: [&str; 4] = ["ExternalName", "ClusterIP", "NodePort", "LoadBalancer"];
    findings.within("spec", |findings| {
        let spec = &service.spec;
        if !spec.service_type.is_empty() && !TYPES.contains(&spec.service_type.as_str()) {
            let hint = crate::suggest::did_you_mean(&spec.service_type, TYPES, || {
                format!("use {}", crate::suggest::one_of(TYPES))
            });
            findings.error_at(
                "type",
                format!("invalid value: {}", spec.service_type),
                hint,
            );
        }
        if spec.service_type != "ExternalName" {
            return;
        }
        if spec.external_name.is_empty() {
            findings.missing(
                "externalName",
                "name the host, for example externalName: 127.0.0.1",
            );
        } else if !is_host(&spec.external_name) {
            findings.error_at(
                "externalName",
                format!("invalid value: {}", spec.external_name),
                "write a host name or an IP address alone; the port goes under ports",
            );
        }
        if spec.ports.is_empty() {
            findings.warn_at(
                "ports",
                "without ports, subscribers that refer to this Service are called on port 80",
                "add ports: [{port: 8080}]",
            );
        }
    });
}

/// Whether `text` alone can stand where a URL has its host.
fn is_host(text: &str) -> bool {
    let host = if text.contains(':') && !text.starts_with('[') {
        format!("[{text}]")
    } else {
        text.to_owned()
    };
    let plain = !text.contains(['/', '?', '#', '@', '\\', ' ']);
    plain
        && Url::parse(&format!("http://{host}/")).is_ok_and(|url| match url.host() {
            Some(Host::Domain(name)) => destination::is_name(name) && url.port().is_none(),
            Some(_) => url.port().is_none(),
            None => false,
        })
}
