//! A Trigger's filter in words, and what is wrong with it.

use volley_spec::{
    check::compile_filters,
    kinds::{Attributes, FilterSpec, TriggerSpec},
};

use super::Page;

/// Adds what `spec` wants.
pub(super) fn describe(page: &mut Page, spec: &TriggerSpec) {
    page.section("Filter");
    let legacy = spec.filter.as_ref().map(|filter| &filter.attributes);
    if !spec.filters.is_empty() {
        list(page, 1, &spec.filters);
    } else if let Some(attributes) = legacy.filter(|attributes| !attributes.is_empty()) {
        for (name, value) in attributes.iter() {
            page.within(
                1,
                match value {
                    "" => format!("{name} is there and not empty"),
                    value => format!("{name} is {value:?}"),
                },
            );
        }
    } else {
        page.within(1, "every event");
    }
    match compile_filters(spec) {
        Ok(filter) => {
            for warning in filter.warnings() {
                page.within(1, format!("?? {}: {}", warning.path, warning.message));
            }
        }
        Err(errors) => {
            for error in errors {
                page.within(1, format!("!! {error}"));
            }
        }
    }
}

/// Each of a list, all of which have to pass.
fn list(page: &mut Page, depth: usize, filters: &[FilterSpec]) {
    for filter in filters {
        one(page, depth, filter);
    }
}

fn one(page: &mut Page, depth: usize, filter: &FilterSpec) {
    let dialects: [(&Attributes, &str); 3] = [
        (&filter.exact, "is"),
        (&filter.prefix, "starts with"),
        (&filter.suffix, "ends with"),
    ];
    for (attributes, verb) in dialects {
        for (name, value) in attributes.iter() {
            page.within(depth, format!("{name} {verb} {value:?}"));
        }
    }
    for (title, members) in [("all of", &filter.all), ("any of", &filter.any)] {
        if let Some(members) = members {
            page.within(depth, format!("{title}:"));
            list(page, depth + 1, members);
        }
    }
    if let Some(inner) = &filter.not {
        page.within(depth, "not:");
        one(page, depth + 1, inner);
    }
    if let Some(expression) = &filter.cesql {
        page.within(depth, format!("CESQL: {expression}"));
    }
}
