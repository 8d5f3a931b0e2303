//! Judges a broker: `volley-conformance` starts the `volley` binary, or takes any other by its URL.

use std::{net::IpAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use volley_conformance::{
    cases::{Cases, Run},
    hostile,
    report::Report,
    sink::{Place, PlaceError},
    subject::{Subject, SubjectError, remote::Remote, volley::Volley},
    tables::NOT_APPLICABLE,
    terms::Terms,
};

const EXAMPLES: &str = "\
A broker in a cluster, judged from a machine that it reaches at 10.0.0.7:

  kubectl create namespace conformance
  volley-conformance --url 'http://HOST/{namespace}/{broker}' \\
    --apply-command 'kubectl apply -f -' \\
    --check-command 'kubectl apply --dry-run=server -f -' \\
    --sink-listen 0.0.0.0 --sink-host 10.0.0.7 --ready-after 60
  kubectl delete namespace conformance

What was declared stays, so that a failure can be looked into; the last line takes it away.";

/// Judges a broker as a black box by the tables of what it owes its users.
#[derive(Debug, Parser)]
#[command(version, after_long_help = EXAMPLES)]
struct Arguments {
    /// Run only cases whose name contains this; may be repeated.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Print the names of the cases and end.
    #[arg(long)]
    list: bool,
    /// How many cases play side by side.
    #[arg(long, default_value_t = 16)]
    at_once: usize,
    /// The binary under test [default: VOLLEY_BIN, or `volley` beside this program].
    #[arg(long, value_name = "PATH", conflicts_with = "url")]
    volley: Option<PathBuf>,
    /// The backend of its Brokers.
    #[arg(long, default_value = "log")]
    channel: String,
    /// Judge another broker at this URL, with `{namespace}` and `{broker}` in it, by what arrives;
    /// its books and its memory are not looked at.
    #[arg(long, requires = "apply_command", value_parser = broker_url)]
    url: Option<String>,
    /// With --url: a shell command that reads YAML and declares it.
    #[arg(long, value_name = "COMMAND", requires = "url")]
    apply_command: Option<String>,
    /// With --url: a shell command that reads YAML and ends with 0 if it would be admitted, and
    /// declares nothing; without it the admission cases are named as not run.
    #[arg(long, value_name = "COMMAND", requires = "url")]
    check_command: Option<String>,
    /// With --url: seconds after which what was declared counts as ready.
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    ready_after: u64,
    /// The address at which sinks listen, each at a free port.
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    sink_listen: IpAddr,
    /// The host in the sinks' URLs: what the broker calls this machine [default: the address of
    /// --sink-listen].
    #[arg(long, value_name = "HOST")]
    sink_host: Option<String>,
}

fn broker_url(text: &str) -> Result<String, String> {
    if !text.starts_with("http://") {
        Err("it must start with http://; no TLS is spoken here".into())
    } else if !text.contains("{broker}") {
        Err("it must contain {broker}: every case has a Broker of its own".into())
    } else {
        Ok(text.to_owned())
    }
}

impl Arguments {
    fn terms(&self) -> Result<Terms, PlaceError> {
        Ok(Terms {
            fenced: self.url.is_some(),
            place: Place::new(self.sink_listen, self.sink_host.as_deref())?,
            ..Terms::default()
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let cases = Cases::chosen(&arguments.only);
    if arguments.list {
        list(&cases);
        return ExitCode::SUCCESS;
    }
    let terms = match arguments.terms() {
        Ok(terms) => terms,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    match judge(&arguments, cases, &terms).await {
        Ok(report) => {
            for slow in report.slowest(3) {
                eprintln!("{:?} {}", slow.took, slow.name);
            }
            println!("{report}");
            if report.failed() == 0 {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn list(cases: &Cases) {
    for name in cases.names() {
        println!("{name}");
    }
    for (name, why) in NOT_APPLICABLE {
        println!("not applicable: {name}: {why}");
    }
    eprintln!(
        "{} cases, {} hostile behaviours",
        cases.count(),
        hostile::behaviours()
    );
}

async fn judge(arguments: &Arguments, cases: Cases, terms: &Terms) -> Result<Report, SubjectError> {
    let run = Run::prepare(cases, terms)
        .await
        .map_err(SubjectError::system(
            "listen at the address of --sink-listen",
        ))?;
    let yaml = run.yaml();
    let subject: Arc<dyn Subject> = match &arguments.url {
        Some(url) => {
            let remote = Remote {
                url: url.clone(),
                apply_command: arguments.apply_command.clone().unwrap_or_default(),
                check_command: arguments.check_command.clone(),
                ready_after: Duration::from_secs(arguments.ready_after),
            };
            remote.apply("conformance", &yaml).await?;
            Arc::new(remote)
        }
        None => {
            let binary = arguments.volley.clone().unwrap_or_else(Volley::find_binary);
            let flags = ["--channel", arguments.channel.as_str()];
            Arc::new(Volley::start(binary, &yaml, &flags).await?)
        }
    };
    Ok(run.play(subject, arguments.at_once).await)
}
