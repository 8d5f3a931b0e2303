//! The built binary, on its log, against every row of the tables and every hostile subscriber.

use std::sync::Arc;

use volley_conformance::{
    cases::{Cases, Run},
    hostile,
    subject::volley::Volley,
    terms::Terms,
};

/// How many cases play side by side.
const AT_ONCE: usize = 16;

#[tokio::test]
async fn the_binary_passes_every_row_and_survives_every_hostile_subscriber() {
    assert!(hostile::behaviours() >= 60, "{}", hostile::behaviours());
    let run = Run::prepare(Cases::chosen(&[]), &Terms::default())
        .await
        .expect("sinks listen");
    let binary = env!("CARGO_BIN_EXE_volley").into();
    // What is stored and owed goes through the disk, whatever the default may be some day.
    let volley = Volley::start(binary, &run.yaml(), &["--channel", "log"])
        .await
        .expect("it starts");
    // Ends with the books of every Broker and SIGTERM.
    let report = run.play(Arc::new(volley), AT_ONCE).await;
    println!("{report}");
    assert_eq!(report.failed(), 0, "{report}");
}
